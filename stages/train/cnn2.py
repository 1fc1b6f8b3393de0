"""train@cnn2: two convolutional blocks (64, 128 filters). Reads data/prepared.npz; writes models/cnn2.keras."""

from stages.lib import cnn, errors, training


def build(block, prepared, seed):
    return cnn.network(prepared.image_shape, len(prepared.class_names), (64, 128), block)


if __name__ == "__main__":
    errors.run(training.stage, "cnn2", build)
