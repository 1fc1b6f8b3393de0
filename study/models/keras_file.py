"""Models as `.keras` files whose bytes depend on nothing but layers and weights."""

import errno
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from study import files
from study.runtime import UserError, first_line, lack_of_memory


def write(path: str | Path, model: keras.Model) -> None:
    """Save the inference part of a model.

    Keras writes the date into metadata.json, memory addresses into config.json (the ids of shared objects) and times
    into the archive. Here dates and times are left out, and shared objects are numbered in order of appearance.
    """
    files.CHECKPOINTS.mkdir(exist_ok=True)
    with files.whole(path) as partial, tempfile.TemporaryDirectory(dir=files.CHECKPOINTS) as folder:
        try:
            keras.Model(model.inputs, model.outputs, name=model.name).save(folder, zipped=False)
        except (OSError, RuntimeError, UnboundLocalError) as error:  # what HDF5 and Keras may make of a full disk
            raise OSError(
                errno.EIO, "cannot hold the model to save; is the disk full?", str(files.CHECKPOINTS)
            ) from error
        metadata, config = Path(folder, "metadata.json"), Path(folder, "config.json")
        metadata.write_text(json.dumps({"keras_version": json.loads(metadata.read_bytes())["keras_version"]}))
        config.write_text(json.dumps(_number_shared_objects(json.loads(config.read_bytes()), {})))
        with zipfile.ZipFile(partial, "w") as archive:
            for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
                with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)


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
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types for a damaged or unsafe file
        if lack := lack_of_memory(error):
            raise UserError(f"{path}: {lack}; a smaller network needs less") from None
        raise UserError(f"{path}: cannot be loaded ({first_line(error)}); {files.RESTORE_CACHED}") from None
