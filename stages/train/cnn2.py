"""train@cnn2: two convolutional blocks (64, 128 filters).

Reads data/prepared.npz; writes models/cnn2.keras, its validation scores and its learning curves.
"""

from study import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, "cnn2", architecture)
