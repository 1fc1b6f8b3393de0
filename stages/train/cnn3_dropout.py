"""train@cnn3_dropout: three blocks (64, 128, 64 filters). Reads data/prepared.npz; writes models/cnn3_dropout.keras."""

from stages.lib import cnn, errors, training


def build(block, prepared, seed):
    return cnn.network(prepared.image_shape, len(prepared.class_names), (64, 128, 64), block)


if __name__ == "__main__":
    errors.run(training.stage, "cnn3_dropout", build)
