"""Batches of training images: their order, flips and shifts, and their way into Model.fit."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from study.data.arrays import Split
from study.models.common.schema import Augmentation

AHEAD = 2  # batches made while the network works on another

Batch = tuple[np.ndarray, np.ndarray]


def augmented(
    train: Split, classes: int, batch_size: int, augmentation: Augmentation, seed: int, epoch: int = 0
) -> Iterator[Batch]:
    """Endless batches from `epoch` on: images (batch_size, H, W, 3) uint8, one-hot labels (batch_size, C) float32.

    Order, flips and shifts of a pass depend on the seed and the number of the pass alone. A shifted image is filled
    with its mirrored border; flip and shift are one indexing of the pixels.
    """
    height, width, colours = train.images.shape[1:]
    pixels = train.images.reshape(-1, colours)
    shift = min(augmentation.shift_pixels, height - 1, width - 1)
    one_hot = np.eye(classes, dtype=np.float32)
    for rows, rng in shuffled(len(train), batch_size, seed, epoch):
        top, left = rng.integers(-shift, shift + 1, (2, batch_size))
        y = _mirrored(top[:, None] + np.arange(height), height)
        x = _mirrored(left[:, None] + np.arange(width), width)
        if augmentation.flip:
            x = np.where(rng.random(batch_size)[:, None] < 0.5, x[:, ::-1], x)
        index = (rows[:, None, None] * height + y[:, :, None]) * width + x[:, None, :]
        yield pixels.take(index, axis=0), one_hot[train.labels[rows]]


def shuffled(count: int, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """Endless row numbers (batch_size,) from `epoch` on, each pass in an order of its own, and the pass's generator.

    An incomplete last batch is dropped.
    """
    for number in itertools.count(epoch):
        rng = np.random.default_rng([seed, number])
        order = rng.permutation(count)
        for start in range(0, count - batch_size + 1, batch_size):
            yield order[start : start + batch_size], rng


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Indices beyond 0 .. length-1 reflected at the border, as numpy.pad's mode `reflect` does."""
    return (length - 1) - np.abs((length - 1) - np.abs(index))


def stream(batches: Iterator[Batch]) -> tf.data.Dataset:
    """Endless batches of one shape as Model.fit takes them best.

    Keras would hand a generator to TensorFlow as a tf.data pipeline that tunes itself; the thread that tunes sleeps for
    twice as long each time, up to a minute, and the end of a run may have to wait for it.
    """
    first = next(batches)
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        tf.data.Dataset.from_generator(
            lambda: itertools.chain([first], batches),
            output_signature=tuple(tf.TensorSpec(array.shape, array.dtype) for array in first),
        )
        .prefetch(AHEAD)
        .with_options(options)
    )
