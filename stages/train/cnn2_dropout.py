"""train@cnn2_dropout: cnn2 with dropout.

Reads data/prepared.npz; writes models/cnn2_dropout.keras, its validation scores and its learning curves.
"""

from study import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, "cnn2_dropout", architecture)
