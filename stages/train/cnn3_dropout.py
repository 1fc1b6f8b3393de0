"""train@cnn3_dropout: three convolutional blocks (64, 128, 64 filters) with dropout.

Reads data/prepared.npz; writes models/cnn3_dropout.keras, its validation scores and its learning curves.
"""

from study import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128, 64)

if __name__ == "__main__":
    runtime.run(stage.train, "cnn3_dropout", architecture)
