"""train@cnn3_plateau: three blocks (32, 64, 128 filters), early stopping and a plateau schedule.

Reads data/prepared.npz; writes models/cnn3_plateau.keras, its validation scores and its learning curves.
"""

from study import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(32, 64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, "cnn3_plateau", architecture)
