"""Batch normalisation by one fused kernel while training; Keras itself takes many passes over the feature maps.

Keras 3 computes mean, variance, scale and shift, and their gradients, by one operation each. On a small convolutional
network these passes through memory cost more time than the arithmetic of the convolutions.
"""

import keras
import tensorflow as tf


def fused(model: keras.Model) -> keras.Model:
    """A model of the same layers in which batch norm layers train with the fused kernel, if it does the same.

    Both share every weight, so that training one trains the other; `model` itself stays one of plain Keras layers.
    """
    return keras.models.clone_model(model, clone_function=_fused_if_possible, recursive=True)


class FusedBatchNormalization(keras.layers.Layer):
    """The training step of a BatchNormalization layer on (N, H, W, C) by TensorFlow's FusedBatchNormV3.

    `plain` is the layer: it holds the weights, and does the rest.
    """

    def __init__(self, plain: keras.layers.BatchNormalization):
        super().__init__(name=f"fused_{plain.name}", dtype=plain.dtype_policy)
        self.plain = plain
        self.built = True

    def call(self, inputs, training=None, mask=None):
        plain = self.plain
        if not (training and plain.trainable) or mask is not None:
            return plain(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=plain.gamma,
            offset=plain.beta,
            mean=[],
            variance=[],
            epsilon=plain.epsilon,
            is_training=True,
        )
        # The kernel gives the variance of N - 1 degrees of freedom; Keras averages the variance of N.
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
        variance *= (count - 1) / count
        plain.moving_mean.assign(plain.moving_mean * plain.momentum + mean * (1 - plain.momentum))
        plain.moving_variance.assign(plain.moving_variance * plain.momentum + variance * (1 - plain.momentum))
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape


def _fused_if_possible(layer: keras.layers.Layer) -> keras.layers.Layer:
    possible = (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and len(layer.input.shape) == 4
        and layer.scale
        and layer.center
        and not layer.renorm
        and not layer.synchronized
    )
    return FusedBatchNormalization(layer) if possible else layer
