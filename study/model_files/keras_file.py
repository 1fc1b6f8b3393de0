"""Models as `.keras` files whose bytes depend on nothing but layers and weights."""

import contextlib
import errno
import io
import json
import math
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from study.base import files
from study.base.runtime import UserError, first_line, lack_of_memory
from study.model_files import hdf5
from study.model_files.card import CARD, CONFIG, METADATA, Card

WEIGHTS = "model.weights.h5"  # the third entry of a file
# Keras wraps the reason that it could not load a layer or its weights in other errors.
WRAPPED = re.compile(r"Exception encountered: |Example error message for object .*\n+")


def write(path: str | Path, model: keras.Model, own_card: Card | None = None) -> None:
    """Save the inference part of a model, with a card if it has one.

    The card stands in metadata.json, which Keras does not look at when it loads a model; if there were one file more in
    the archive, Keras would unpack them all. Keras writes the date into metadata.json, memory addresses into
    config.json (the ids of shared objects) and times into the archive. Here dates and times are left out, and shared
    objects are numbered in order of appearance. Keras makes the weights in memory, because HDF5 crashes on a full disk,
    and the rest of its archive in a nameless file beside `path`.
    """
    with files.whole(path) as partial, tempfile.TemporaryFile(buffering=0, dir=partial.parent) as file:
        saved = _Archive(file)
        keras.Model(model.inputs, model.outputs, name=model.name).save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(partial, "w") as target:
            config, metadata = (json.loads(source.read(name)) for name in (CONFIG, METADATA))
            shown = {"keras_version": metadata["keras_version"]} | ({CARD: own_card.to_dict()} if own_card else {})
            target.writestr(zipfile.ZipInfo(CONFIG), json.dumps(_number_shared_objects(config, {})))
            target.writestr(zipfile.ZipInfo(METADATA), json.dumps(shown))
            entry = zipfile.ZipInfo(WEIGHTS)
            entry.file_size = source.getinfo(WEIGHTS).file_size  # decides the form of the entry
            with source.open(WEIGHTS) as weights, target.open(entry, "w") as copy:
                shutil.copyfileobj(weights, copy)


class _Archive(io.BufferedRandom):
    """An open file that passes for the path of a `.keras` file, by which `Model.save` knows the format."""

    def __str__(self) -> str:
        return "model.keras"


def _number_shared_objects(config: Any, numbers: dict[int, int]) -> Any:
    """The same configuration with each shared_object_id replaced by its order of appearance."""
    if isinstance(config, list):
        return [_number_shared_objects(part, numbers) for part in config]
    if isinstance(config, dict):
        return {
            key: numbers.setdefault(part, len(numbers))
            if key == "shared_object_id"
            else _number_shared_objects(part, numbers)
            for key, part in config.items()
        }
    return config


def read(path: str | Path) -> keras.Model:
    """Load a `.keras` file in safe mode. Raises UserError if it is missing or cannot be loaded.

    The layers are first built without memory for their weights, so that a model has to hold what its layers ask for.
    Weights are unpacked into the system's temporary folder, which TMPDIR names: the working folder may be anybody's.
    """
    if not Path(path).exists():
        raise files.missing(path)
    files.remember(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                return _load(archive, folder)
        except Exception as error:  # Keras raises many types for a damaged or unsafe file
            keras.utils.clear_session()  # or the weights of a refused model would get memory with those of the next
            if lack := lack_of_memory(error):
                raise UserError(f"{path}: {lack}; a smaller network needs less") from None
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise OSError(errno.ENOSPC, error.strerror, tempfile.gettempdir()) from None
            if getattr(error, "filename", None):  # a folder, or a file that may not be read
                raise
            reason = first_line(ValueError(WRAPPED.split(str(error))[-1].partition(" Full object config:")[0]))
            raise files.unreadable(path, f"cannot be loaded ({reason}){_versions(path)}") from None


def _versions(path: str | Path) -> str:
    """For messages: which Keras wrote the file, if it says so, and which is here."""
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        version = json.loads(archive.read(METADATA))["keras_version"]
        return f"; written by Keras {version[:20]}, here is Keras {keras.__version__}"
    return ""


def _load(archive: zipfile.ZipFile, folder: str) -> keras.Model:
    """The model of an archive, by way of a file of its weights in `folder`."""
    _check_entries(archive)
    weights = archive.extract(WEIGHTS, folder)
    model = _build(json.loads(archive.read(CONFIG)), hdf5.weights(weights))
    model.load_weights(weights)
    return model


def _check_entries(archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless the archive holds a model as Keras stores it: uncompressed, and nothing else."""
    names = sorted(archive.namelist())
    if names != sorted([CONFIG, METADATA, WEIGHTS]):
        raise ValueError(f"it holds {', '.join(names)[:100]}; allowed: {CONFIG}, {METADATA} and {WEIGHTS}, each once")
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename} is compressed; Keras writes it as it is")


def _build(config: dict, held: int) -> keras.Model:
    """The model of a configuration. Raises ValueError if its layers have more weights than are `held`."""
    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(config | {"compile_config": None}, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ValueError("it holds no model")
    needed = sum(math.prod(weight.shape) for weight in model.weights)
    if needed > held:
        raise ValueError(f"its layers have {needed} weights, it holds {held}")
    with keras.StatelessScope():
        return model  # the end of the scope gives memory to the weights
