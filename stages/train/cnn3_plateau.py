"""train@cnn3_plateau: three blocks (32, 64, 128 filters), early stopping and a plateau schedule.

Reads data/prepared.npz; writes models/cnn3_plateau.keras, its validation scores and its learning curves.
"""

from stages.lib import cnn, errors, training

build = cnn.builder(32, 64, 128)


if __name__ == "__main__":
    errors.run(training.stage, "cnn3_plateau", build)
