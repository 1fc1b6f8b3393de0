"""train@cnn3_dropout: three blocks (64, 128, 64 filters).

Reads data/prepared.npz; writes models/cnn3_dropout.keras, its validation scores and its learning curves.
"""

from stages.lib import cnn, errors, training

build = cnn.builder(64, 128, 64)


if __name__ == "__main__":
    errors.run(training.stage, "cnn3_dropout", build)
