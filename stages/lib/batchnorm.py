"""Batch normalisation by one fused kernel while training, where Keras itself takes many passes over the feature maps.

Keras 3 computes mean, variance, scale and shift, and their gradients, by one operation each. On a small convolutional
network these passes through memory cost more time than the arithmetic of the convolutions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization whose training step on (N, H, W, C) is TensorFlow's FusedBatchNormV3."""

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or len(inputs.shape) != 4 or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        # The kernel gives the variance of N - 1 degrees of freedom; Keras averages that of N.
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
        variance *= (count - 1) / count
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs


@contextmanager
def fused(model: keras.Model) -> Iterator[None]:
    """Let the batch norms of `model`, nested ones too, train with the fused kernel for the while, where it can stand in
    for them; nothing on other backends. Before and after, the model is one of plain Keras layers."""
    swapped = [layer for layer in _layers(model) if keras.backend.backend() == "tensorflow" and _can_be_fused(layer)]
    for layer in swapped:
        layer.__class__ = FusedBatchNormalization
    try:
        yield
    finally:
        for layer in swapped:
            layer.__class__ = keras.layers.BatchNormalization


def _can_be_fused(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
        and not layer.synchronized
    )


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
