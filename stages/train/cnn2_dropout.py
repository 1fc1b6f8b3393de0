"""train@cnn2_dropout: cnn2 with dropout. Reads data/prepared.npz; writes models/cnn2_dropout.keras."""

from stages.lib import cnn, errors, training


def build(block, prepared, seed):
    return cnn.network(prepared.image_shape, len(prepared.class_names), (64, 128), block)


if __name__ == "__main__":
    errors.run(training.stage, "cnn2_dropout", build)
