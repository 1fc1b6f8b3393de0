"""ResNets of keras.applications as classifiers of small images, from random or from pretrained weights."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
from keras import layers

from study.base import files
from study.base.runtime import first_line, lack_of_memory
from study.model_files import hdf5
from study.models.common.architecture import Architecture, BlockError
from study.models.resnet.schema import Resnet

# What ImageNet weights expect to be added to blue, green and red: less their means over ImageNet.
MEANS = [-103.939, -116.779, -123.68]

Backbone = Callable[..., keras.Model]


def resnet(backbone: Backbone) -> Architecture:
    """The architecture around a backbone of keras.applications."""
    return Architecture(Resnet, partial(network, backbone=backbone))


def network(block: Resnet, image_shape: tuple[int, int, int], classes: int, backbone: Backbone) -> keras.Model:
    """Class probabilities (N, classes) float32 of images (N, *image_shape) with values 0 .. 255.

    Resize to image_size → preprocess for the backbone → backbone without its top, pooled → Dropout → Dense softmax.
    Raises BlockError if the weights cannot be had or do not fit.
    """
    size = block.image_size
    body = load(backbone, block, (size, size, 3))
    inputs = keras.Input(image_shape, dtype="uint8")
    x = keras.ops.cast(inputs, "float32")  # else Resizing rounds to whole numbers, but not within a graph
    x = layers.Resizing(size, size, interpolation="bilinear", dtype="float32")(x, training=False)
    # As keras.applications.resnet.preprocess_input, whose constant would be one more input of an exported graph.
    x = layers.Rescaling(1.0, offset=MEANS, dtype="float32")(keras.ops.flip(x, axis=-1))
    features = keras.Model(inputs, body(x), name="features")
    head = keras.Sequential(
        [layers.Dropout(block.dropout), layers.Dense(classes, activation="softmax", dtype="float32")], name="head"
    )
    return keras.Model(inputs, head(features(inputs)))


def load(backbone: Backbone, block: Resnet, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone with the block's weights; random ones start each residual block as the identity, which speeds the
    first steps (Goyal et al., Accurate, large minibatch SGD, 2017, section 5.1). Raises BlockError before any training.
    """
    options = {"include_top": False, "input_shape": input_shape, "pooling": block.pooling, "name": "backbone"}
    if block.weights is None:
        body = backbone(weights=None, **options)
        for layer in body.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = block.batch_norm_momentum
            if layer.name.endswith("_3_bn"):  # the last layer of a residual branch
                layer.gamma.assign(keras.ops.zeros_like(layer.gamma))
        return body
    name = backbone.__name__
    if block.weights != "imagenet" and not Path(block.weights).is_file():
        where = files.searched(block.weights)
        raise BlockError(f"is {block.weights}, no file{where}; allowed: null, imagenet or a .weights.h5", "weights")
    try:
        if block.weights != "imagenet":
            hdf5.weights(block.weights)
        with warnings.catch_warnings(action="ignore"):  # Keras warns of what does not fit, then raises
            body = backbone(weights=block.weights, **options)
    except Exception as error:  # Keras and h5py raise many types for a failed download or an unfit file
        if lack_of_memory(error):
            raise
        reason = first_line(error)
        if block.weights != "imagenet":
            raise BlockError(
                f"is {block.weights}, which does not hold the weights of a {name} backbone ({reason}); give the file "
                "of one, imagenet or null",
                "weights",
            ) from None
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        raise BlockError(
            f"is imagenet, and these weights of {name} cannot be downloaded ({reason}); place {file} of "
            f"keras.applications in {os.environ.get('KERAS_HOME', '~/.keras')}/models by hand, or set weights to null "
            "or to a file",
            "weights",
        ) from None
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # which also keeps its statistics: Keras then runs it in inference mode
    return body
