"""train@resnet101: ResNet101 of keras.applications.

Reads data/prepared.npz; writes models/resnet101.keras, its validation scores and its learning curves.
"""

from functools import partial

import keras

from stages.lib import errors, resnet, training

build = partial(resnet.build, keras.applications.ResNet101)


if __name__ == "__main__":
    errors.run(training.stage, "resnet101", build)
