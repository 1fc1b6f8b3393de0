"""train@cnn2_dropout: cnn2 with dropout.

Reads data/prepared.npz; writes models/cnn2_dropout.keras, its validation scores and its learning curves.
"""

from stages.lib import cnn, errors, training

build = cnn.builder(64, 128)


if __name__ == "__main__":
    errors.run(training.stage, "cnn2_dropout", build)
