"""Small networks in the places of the study's, their runs and files, and the ways to have one predict."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np

from study.data.arrays import Prepared, Split
from study.models.cnn.schema import Cnn
from study.models.common.architecture import Architecture
from study.models.common.schema import Block
from study.models.resnet.build import resnet
from study.training.checkpoint import Row, ignore
from study.training.network import Network
from study.training.run import Run, checkpoint_of


def tiny(block: Cnn, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """One dense layer on 16 averages of an image's pixels, with dropout."""
    inputs = keras.Input(image_shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def small_backbone(include_top, weights, input_shape, pooling, name=None) -> keras.Model:
    """A backbone of a few layers with the interface of keras.applications."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 3, strides=4, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[pooling]()(x)
    model = keras.Model(inputs, x, name=name)
    if weights:
        model.load_weights(weights)
    return model


# The ways to have a model predict.
CALLS = {
    "predict_on_batch": lambda model, images: model.predict_on_batch(images),
    "predict": lambda model, images: model.predict(images, verbose=0),
    "a call": lambda model, images: np.array(model(images)),
    "a call with training=False": lambda model, images: np.array(model(images, training=False)),
}
PLATEAU = {"name": "plateau", "patience": 1, "factor": 0.5, "minimum_learning_rate": 0.0001}
TINY = Architecture(Cnn, tiny)
SMALL_RESNET = resnet(small_backbone)


def as_run(block: Block, seed: int = 0, name: str = "test", data: str = "1") -> Run:
    """A run of a block with the checkpoint `name`."""
    return Run(
        name=name,
        title=name,
        block_name=f"params.yaml: models.{name}",
        script=name,
        block=block,
        epochs=block.epochs,
        seed=seed,
        data=data,
        weights=None,
        keeps_weights=True,
    )


def train(
    architecture: Architecture,
    run: Run,
    prepared: Prepared,
    on_epoch: Callable[[Row], None] = ignore,
) -> tuple[keras.Model, list[Row]]:
    """Train a run alone; the model and its history."""
    return Network(architecture, prepared).train(run, checkpoint_of(run), on_epoch)


def one_in_ten() -> Split:
    """Forty images that are all the same, one in ten of class 1: a model can only learn how often each class is."""
    return Split(np.full((40, 32, 32, 3), 128, np.uint8), (np.arange(40) % 10 == 0).astype(np.uint8))


class Killed(BaseException):
    """Stands for a kill."""


def backbone_of(model: keras.Model) -> keras.Model:
    """The backbone of a ResNet."""
    return model.get_layer("features").get_layer("backbone")


def saved(path: Path) -> tuple[str, list[str]]:
    """The configuration in a `.keras` file, and the names of all that its weights hold."""
    names: list[str] = []
    with zipfile.ZipFile(path) as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            weights.visit(names.append)
        return archive.read("config.json").decode(), names
