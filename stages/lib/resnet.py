"""ResNets of keras.applications as classifiers of small images, from scratch or from pretrained weights.

With pretrained weights the schedule is the usual one of transfer learning (https://keras.io/guides/transfer_learning):
the last layer learns on the frozen backbone's features, then the whole network but for batch norm is fine-tuned at a
small rate.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from stages.lib import batches, errors, files, params, scoring, training
from stages.lib.errors import UserError
from stages.lib.training import Run

FEATURE_FILE = 2048  # images whose features one file holds

Backbone = Callable[..., keras.Model]

# TensorFlow would run two layers at once and hold the feature maps of both; each takes all cores anyway.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


def build(backbone: Backbone, run: Run) -> keras.Model:
    """The network ready to be trained: random with `weights: null`, else its head fitted on the frozen backbone."""
    run.block.require("resnet")
    model = network(backbone, run.block, run.prepared.image_shape, len(run.prepared.class_names))
    if run.block.weights is not None:
        fit_head(model, run)
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
        reason = errors.reason(error)[:300]
        if block.weights != "imagenet":
            raise UserError(f"{block.weights}: does not hold the weights of a {name} backbone ({reason})") from None
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        raise UserError(
            f"{params.FILE}: weights imagenet of {name} cannot be downloaded ({reason}); place {file} of "
            f"keras.applications in {os.environ.get('KERAS_HOME', '~/.keras')}/models by hand, or set weights to null "
            "or to a file"
        ) from None
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # which also keeps its statistics: Keras then runs it in inference mode
    return body


def fit_head(model: keras.Model, run: Run) -> None:
    """Train the head on the frozen backbone's features of every image and, with flips, of its mirror image."""
    block, labels, head = run.block, run.prepared.train.labels, model.get_layer("head")
    trained = keras.Model(head.inputs, head.outputs)  # of the same layers: what is saved of `head` holds no optimizer
    trained.compile(
        keras.optimizers.Adam(block.head.learning_rate),
        keras.losses.CategoricalCrossentropy(label_smoothing=block.label_smoothing),
        metrics=["accuracy"],
    )
    phase = run.checkpoint.phase("head")
    if len(phase.history) == block.head.epochs:
        phase.restore(trained, [])
    else:
        inputs = features(model.get_layer("features"), run)
        batch_size = min(block.batch_size, len(labels))
        one_hot = np.eye(len(run.prepared.class_names), dtype=np.float32)

        def batches_from(epoch: int) -> Iterator[batches.Batch]:
            for rows, _ in batches.shuffled(len(inputs), batch_size, run.seed, epoch):
                yield inputs[rows], one_hot[labels[rows % len(labels)]]

        training.run_epochs(trained, batches_from, len(inputs) // batch_size, block.head.epochs, [], phase)
    if not np.isfinite(phase.history[-1]["loss"]):
        raise training.DivergedError(
            f"{params.FILE}: the loss of the head is not finite; its head.learning_rate {block.head.learning_rate} is "
            "too high"
        )


def features(extractor: keras.Model, run: Run) -> np.ndarray:
    """(N or 2 N, F) float16: the backbone's features of the N training images and, with flips, of their mirror images.

    Half precision rounds to one part in 2048 and halves the memory. Kept with the checkpoint, a file for every
    FEATURE_FILE images, so that a killed run computes none of them twice.
    """
    images = run.prepared.train.images
    views = [images, images[:, :, ::-1]] if run.block.augmentation.flip else [images]
    found = np.empty((len(views) * len(images), extractor.output_shape[-1]), np.float16)
    for number, view in enumerate(views):
        for start in range(0, len(images), FEATURE_FILE):
            chunk = view[start : start + FEATURE_FILE]
            path = run.checkpoint.folder / f"features-{number}-{start:07d}.npz"
            try:
                part = files.read_npz(path, "features")["features"]
            except UserError:  # not there yet, or damaged
                part = scoring.predict(extractor, chunk).astype(np.float16)
                files.write_npz(path, features=part)
            first = number * len(images) + start
            found[first : first + len(chunk)] = part
    return found
