"""Predictions of a model."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

BATCH = 32  # images; the feature maps of more of them would be a large share of a ResNet's memory


def predict(model: "keras.Model", images: np.ndarray) -> np.ndarray:
    """Class probabilities (N, C) float32, or another model's outputs, of images (N, H, W, 3) uint8."""
    size = min(BATCH, len(images))
    outputs = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        # One shape, filled by repetition, is one graph. (Model.predict may wait at its end: see `batches.stream`.)
        outputs.append(model.predict_on_batch(np.resize(batch, (size, *batch.shape[1:])))[: len(batch)])
    return np.concatenate(outputs)
