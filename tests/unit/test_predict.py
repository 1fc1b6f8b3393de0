"""Predictions are made in batches of one shape, and each image is predicted once and in order."""

import keras
import numpy as np
import pytest

from study.scoring.predict import BATCH, predict


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, BATCH, 2 * BATCH + 3])
def test_each_image_is_predicted_once_and_in_order(count):
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32")))
    np.testing.assert_array_equal(predict(model, images(count)), images(count).reshape(count, -1))


def test_an_incomplete_last_batch_is_traced_with_the_others():
    traced = []

    class Traced(keras.layers.Layer):
        def call(self, inputs):
            traced.append(inputs.shape)
            return inputs

    inputs = keras.Input((2, 2, 3), dtype="uint8")
    model = keras.Model(inputs, Traced()(inputs))
    traced.clear()
    predict(model, images(2 * BATCH + 3))
    assert traced == [(BATCH, 2, 2, 3)]
