"""The study's convolutional networks: blocks of [Conv 3×3 valid → BatchNorm → ReLU → MaxPool 2] and a dense layer.

`convolutions_per_block`, `further_blocks` and `width_multiplier` make them deeper and wider than the study's, after
Simonyan and Zisserman (Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556):
several convolutions of the same number of filters, then the pooling, then twice as many filters.
"""

from functools import partial

import keras
from keras import layers

from study.models.cnn.schema import Cnn
from study.models.common.architecture import Architecture, BlockError


def cnn(*filters: int) -> Architecture:
    """The architecture with one block for each number of filters."""
    return Architecture(Cnn, partial(network, filters=filters))


def network(block: Cnn, image_shape: tuple[int, int, int], classes: int, filters: tuple[int, ...]) -> keras.Model:
    """Class probabilities (N, classes) float32 of images (N, *image_shape) with values 0 .. 255.

    One block for each number of `filters`, times width_multiplier, then Dense 256 → BatchNorm → ReLU; Dropout after
    each, unless it is 0. A block's further convolutions, [Conv 3×3 same → BatchNorm → ReLU], stand before its pooling.
    Further blocks pad throughout, so that they fit maps of any size, and have twice the filters of the one before.
    Raises BlockError if the images are too small for the number of `filters`.
    """
    least = 1
    for _ in filters:
        least = 2 * least + 2
    if min(image_shape[:2]) < least:
        raise BlockError(
            f"images of {image_shape[0]} x {image_shape[1]} pixels are too small for the {len(filters)} convolutional "
            f"blocks of its script; allowed: {least} pixels or more"
        )

    def convolution(x, count: int, padding: str):
        layer = layers.Conv2D(count, 3, padding=padding)
        x = layer(x)
        layer.bias.trainable = False  # batch norm cancels it out
        return layers.BatchNormalization(momentum=block.batch_norm_momentum)(x)

    blocks = [(block.width_multiplier * count, "valid") for count in filters]
    for _ in range(block.further_blocks):
        blocks.append((2 * blocks[-1][0], "same"))
    inputs = keras.Input(image_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for count, padding in blocks:
        x = convolution(x, count, padding)
        for _ in range(block.convolutions_per_block - 1):
            x = convolution(layers.ReLU()(x), count, "same")
        # ReLU and pooling may change places; after the pooling ReLU has a quarter of the work.
        x = layers.ReLU()(layers.MaxPooling2D(2, padding=padding)(x))
        if block.dropout:
            x = layers.Dropout(block.dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(256)(x)
    x = layers.BatchNormalization(momentum=block.batch_norm_momentum)(x)
    x = layers.ReLU()(x)
    if block.dropout:
        x = layers.Dropout(block.dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))
