"""The study's convolutional networks: blocks of [Conv 3×3 valid → BatchNorm → ReLU → MaxPool 2] and a dense layer."""

import keras
from keras import layers


def network(image_shape: tuple[int, int, int], classes: int, filters: tuple[int, ...], dropout: float) -> keras.Model:
    """Class probabilities (N, classes) float32 of images (N, *image_shape) with values 0 .. 255.

    One block for each number of `filters`, then Dense 256 → BatchNorm → ReLU; `dropout` after each of them unless 0.
    """
    inputs = keras.Input(image_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for count in filters:
        x = layers.Conv2D(count, 3, padding="valid")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
        if dropout:
            x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(256)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))
