"""Batch normalisation by one fused kernel while training, where Keras itself takes many passes over the feature maps.

Keras 3 computes mean, variance, scale and shift, and their gradients, by one operation each. On a small convolutional
network these passes through memory cost more time than the arithmetic of the convolutions.
"""

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization whose training step on (N, H, W, C) is TensorFlow's FusedBatchNormV3."""

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or len(inputs.shape) != 4:
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


def fused(model: keras.Model) -> keras.Model:
    """A copy of `model`, with its weights, that trains with the fused kernel; `model` itself on other backends.

    The layers match one by one, so weights go back by `model.set_weights(copy.get_weights())`: what is saved is a
    model of plain Keras layers.
    """
    if keras.backend.backend() != "tensorflow":
        return model

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if type(layer) is keras.layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    for own, original in zip(copy.weights, model.weights, strict=True):
        own.trainable = original.trainable  # a variable's own flag is in no layer's configuration
    return copy
