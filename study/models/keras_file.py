"""Models as `.keras` files whose bytes depend on nothing but layers and weights."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from study import files
from study.runtime import UserError, first_line


def write(path: str | Path, model: keras.Model) -> None:
    """Save the inference part of a model.

    Keras writes the date into metadata.json, memory addresses into config.json (the ids of shared objects) and times
    into the archive. Here dates and times are left out, and shared objects are numbered in order of appearance. All is
    made in memory, because HDF5 crashes on a full disk: twice the model's size at most.
    """
    saved = _Buffer()
    keras.Model(model.inputs, model.outputs, name=model.name).save(saved)
    with zipfile.ZipFile(saved) as source, files.whole(path) as partial, zipfile.ZipFile(partial, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "metadata.json":
                content = json.dumps({"keras_version": json.loads(content)["keras_version"]})
            elif name == "config.json":
                content = json.dumps(_number_shared_objects(json.loads(content), {}))
            target.writestr(zipfile.ZipInfo(name), content)


class _Buffer(io.BytesIO):
    """A file in memory that passes for the path of a `.keras` file, by which `Model.save` knows the format."""

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
    """Load a `.keras` file in safe mode. Raises UserError where it is missing or cannot be loaded."""
    if not Path(path).is_file():
        raise UserError(f"{path}: is missing; `dvc repro` makes it")
    files.remember(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types for a damaged or unsafe file
        raise UserError(f"{path}: cannot be loaded ({first_line(error)}); {files.RESTORE_CACHED}") from None
