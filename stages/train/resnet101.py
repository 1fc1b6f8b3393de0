"""train@resnet101: ResNet101 of keras.applications.

Reads data/prepared.npz; writes models/resnet101.keras, its validation scores and its learning curves.
"""

from keras.applications import ResNet101

from study import runtime
from study.models.resnet.build import resnet
from study.training import stage

architecture = resnet(ResNet101)

if __name__ == "__main__":
    runtime.run(stage.train, "resnet101", architecture)
