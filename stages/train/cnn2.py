"""train@cnn2: two convolutional blocks (64, 128 filters).

Reads data/prepared.npz; writes models/cnn2.keras, its validation scores and its learning curves.
"""

from stages.lib import cnn, errors, training

build = cnn.builder(64, 128)


if __name__ == "__main__":
    errors.run(training.stage, "cnn2", build)
