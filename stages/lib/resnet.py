"""ResNets of keras.applications as classifiers of small images, from scratch or from pretrained weights.

With pretrained weights the schedule is the usual one of transfer learning (https://keras.io/guides/transfer_learning):
the last layer learns on the frozen backbone's features, then the whole network is fine-tuned at a small rate with batch
norm in inference mode, so that its ImageNet statistics stay.
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
    """The network ready to be trained: random with `weights: null`, else with its head fitted on the frozen backbone."""
    model = network(backbone, block, prepared.image_shape, len(prepared.class_names))
    if block.weights is not None:
        fit_head(model, block, prepared, seed)
    return model


def network(backbone: Backbone, block: params.Resnet, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Class probabilities (N, classes) float32 of images (N, *image_shape) with values 0 .. 255.

    Resize to image_size → preprocess_input → backbone without its top, pooled → Dropout → Dense softmax.
    Raises UserError where the weights cannot be had or do not fit.
    """
    size = block.image_size
    body = backbone(include_top=False, weights=None, input_shape=(size, size, 3), pooling=block.pooling, name="backbone")
    if block.weights is None:
        for layer in body.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = block.batch_norm_momentum
    else:
        load_weights(body, backbone, block.weights)
    head = keras.Sequential(
        [layers.Dropout(block.dropout), layers.Dense(classes, activation="softmax", dtype="float32")], name="head"
    )
    inputs = keras.Input(image_shape, dtype="uint8")
    x = layers.Resizing(size, size, interpolation="bilinear")(inputs)
    x = keras.applications.resnet.preprocess_input(x)
    x = body(x) if block.weights is None else body(x, training=False)
    return keras.Model(inputs, head(x))


def load_weights(body: keras.Model, backbone: Backbone, weights: str) -> None:
    """Fill the backbone from `imagenet` or a .weights.h5 file. Raises UserError before any training."""
    if weights == "imagenet":
        try:
            pretrained = backbone(include_top=False, weights="imagenet")
        except Exception as error:  # Keras wraps what the network raises into a plain Exception
            cache = Path(keras.config.keras_home(), "models") if hasattr(keras.config, "keras_home") else "~/.keras/models"
            file = f"{body_name(backbone)}_weights_tf_dim_ordering_tf_kernels_notop.h5"
            raise UserError(
                f"{params.FILE}: weights imagenet cannot be had ({str(error).splitlines()[0]}); "
                f"place the file {file} of keras.applications in {cache}, or set weights to null or a path"
            ) from None
        body.set_weights(pretrained.get_weights())
        return
    if not Path(weights).is_file():
        raise UserError(f"{params.FILE}: weights {weights} is no file; allowed: null, imagenet, or a .weights.h5 file")
    try:
        body.load_weights(weights)
    except Exception as error:  # h5py and Keras raise many types for a wrong or truncated file
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{weights}: does not hold the weights of this {body_name(backbone)} backbone ({reason})") from None


def body_name(backbone: Backbone) -> str:
    return backbone.__name__.lower()


def fit_head(model: keras.Model, block: params.Resnet, prepared: Prepared, seed: int) -> None:
    """Train the head on the features of the frozen backbone, which runs once over the set and once over its mirror image."""
    body, head = model.get_layer("backbone"), model.get_layer("head")
    features_of = keras.Model(model.inputs, body.get_output_at(-1) if hasattr(body, "get_output_at") else head.input)
    train, validation = prepared.train, prepared.validation
    views = [train.images, train.images[:, :, ::-1]] if block.augmentation.flip else [train.images]
    features = [features_of.predict(view, batch_size=FEATURE_BATCH, verbose=0) for view in views]
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
            features_of.predict(validation.images, batch_size=FEATURE_BATCH, verbose=0),
            one_hot[validation.labels],
        ),
        verbose=1 if sys.stdout.isatty() else 2,
    )
