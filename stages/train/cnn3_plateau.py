"""train@cnn3_plateau: three blocks (32, 64, 128 filters), early stopping and a plateau schedule.

Reads data/prepared.npz; writes models/cnn3_plateau.keras.
"""

from stages.lib import cnn, errors, training


def build(block, prepared, seed):
    return cnn.network(prepared.image_shape, len(prepared.class_names), (32, 64, 128), block)


if __name__ == "__main__":
    errors.run(training.stage, "cnn3_plateau", build)
