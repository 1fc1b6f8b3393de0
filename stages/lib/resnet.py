"""ResNets of keras.applications as classifiers of small images, from scratch or from pretrained weights.

With pretrained weights the schedule is the usual one of transfer learning (https://keras.io/guides/transfer_learning):
the last layer learns on the frozen backbone's features, then the whole network but for batch norm is fine-tuned at a
small rate.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from stages.lib import params
from stages.lib.dataset import Prepared
from stages.lib.errors import UserError

FEATURE_BATCH = 64

Backbone = Callable[..., keras.Model]


def build(backbone: Backbone, block: params.Resnet, prepared: Prepared, seed: int) -> keras.Model:
    """The network ready to be trained: random with `weights: null`, else its head fitted on the frozen backbone."""
    model = network(backbone, block, prepared.image_shape, len(prepared.class_names))
    if block.weights is not None:
        fit_head(model, block, prepared)
    return model


def network(backbone: Backbone, block: params.Resnet, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Class probabilities (N, classes) float32 of images (N, *image_shape) with values 0 .. 255.

    Resize to image_size → preprocess_input → backbone without its top, pooled → Dropout → Dense softmax.
    Raises UserError where the weights cannot be had or do not fit.
    """
    size = block.image_size
    body = load(backbone, block, (size, size, 3))
    inputs = keras.Input(image_shape, dtype="uint8")
    x = layers.Resizing(size, size, interpolation="bilinear", dtype="float32")(inputs)
    x = keras.applications.resnet.preprocess_input(x)
    features = keras.Model(inputs, body(x), name="features")
    head = keras.Sequential(
        [layers.Dropout(block.dropout), layers.Dense(classes, activation="softmax", dtype="float32")], name="head"
    )
    return keras.Model(inputs, head(features(inputs)))


def load(backbone: Backbone, block: params.Resnet, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone with the block's weights; random ones start each residual block as the identity, which speeds the
    first steps (Goyal et al., Accurate, large minibatch SGD, 2017, section 5.1). Raises UserError before any training.
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
        raise UserError(f"{params.FILE}: weights {block.weights} is no file; allowed: null, imagenet or a .weights.h5")
    try:
        body = backbone(weights=block.weights, **options)
    except Exception as error:  # Keras and h5py raise many types for a failed download or an unfit file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if block.weights != "imagenet":
            raise UserError(f"{block.weights}: does not hold the weights of a {name} backbone ({reason})") from None
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        raise UserError(
            f"{params.FILE}: weights imagenet of {name} cannot be downloaded ({reason}); place {file} of "
            "keras.applications in ~/.keras/models by hand, or set weights to null or to a file"
        ) from None
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # which also keeps its statistics: Keras then runs it in inference mode
    return body


def fit_head(model: keras.Model, block: params.Resnet, prepared: Prepared) -> None:
    """Train the head on the frozen backbone's features of every image and, with flips, of its mirror image."""
    extractor, head = model.get_layer("features"), model.get_layer("head")
    train, validation = prepared.train, prepared.validation
    views = [train.images, train.images[:, :, ::-1]] if block.augmentation.flip else [train.images]
    features = [extractor.predict(view, batch_size=FEATURE_BATCH, verbose=0) for view in views]
    one_hot = np.eye(len(prepared.class_names), dtype=np.float32)
    head.compile(
        keras.optimizers.Adam(block.head.learning_rate),
        keras.losses.CategoricalCrossentropy(label_smoothing=block.label_smoothing),
        metrics=["accuracy"],
    )
    head.fit(
        np.concatenate(features),
        np.concatenate([one_hot[train.labels]] * len(views)),
        batch_size=min(block.batch_size, len(train)),
        epochs=block.head.epochs,
        validation_data=(
            extractor.predict(validation.images, batch_size=FEATURE_BATCH, verbose=0),
            one_hot[validation.labels],
        ),
        verbose=1 if sys.stdout.isatty() else 2,
    )
