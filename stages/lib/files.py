"""Files that appear whole or not at all, and hold the same bytes for the same content."""

import csv
import errno
import hashlib
import json
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from stages.lib import errors
from stages.lib.errors import UserError

if TYPE_CHECKING:
    import keras


# Where a killed stage keeps what it goes on from.
CHECKPOINTS = Path("checkpoints")

# What numpy and zipfile raise for damaged archives, pickled arrays and other kinds of file.
UNREADABLE = (
    *(ValueError, TypeError, AttributeError, RuntimeError, OSError, EOFError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)

# Where a good copy is: in git for what is small, in DVC's cache for the rest.
RESTORE = "`git restore` it, or `dvc repro --force` its stage"
RESTORE_CACHED = (
    "delete it, then `dvc checkout` or `dvc repro` restores what a stage made (if it comes back damaged, delete its "
    "copy in .dvc/cache, which dvc.lock names, as well)"
)


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write beside `path`; renamed to `path` at the end, removed on an error.

    Its name ends in .partial, which git and DVC ignore: what a killed stage leaves is never taken for an output.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # a full disk names no file
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """64 lower-case hex digits."""
    with Path(path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: dict) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path, kind: type) -> Any:
    """Read what a stage wrote, as the type `kind`. Raises UserError where the file is missing, damaged or unfit."""
    try:
        return TypeAdapter(kind).validate_json(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `dvc repro` makes it") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise UserError(f"{path}: {where} {fault['msg']}; {RESTORE}") from None


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path: str | Path) -> list[list[str]]:
    """The rows of a table that a stage wrote, its header first. Raises UserError where it is missing or damaged."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `dvc repro` makes it") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is not a readable table ({error}); {RESTORE}") from None
    if not rows or len({len(row) for row in rows}) > 1:
        raise UserError(f"{path}: is not a whole table; {RESTORE}")
    return rows


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write arrays uncompressed; numpy stamps no time into the archive, so equal arrays give equal bytes."""
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_npz(path: str | Path, *keys: str, remedy: str = RESTORE_CACHED) -> dict[str, np.ndarray]:
    """Read the named arrays (all, if none is named). Raises UserError, which ends with the remedy, where the file is
    missing, damaged, lacks one of them, or holds pickled objects, which are never loaded."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys or archive.files}
        for key, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{key} is no array")
        return arrays
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {remedy}") from None
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold {', '.join(keys)}; {remedy}") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: is not a readable .npz of plain arrays ({errors.reason(error)}); {remedy}") from None


def write_model(path: str | Path, model: "keras.Model") -> None:
    """Save the inference part of `model` as `.keras` whose bytes depend on nothing but layers and weights.

    Keras puts the date into metadata.json, memory addresses into config.json as the ids of shared objects, and the time
    into zip entries; here dates and times are left out, and shared objects are numbered in their order.
    """
    import keras

    CHECKPOINTS.mkdir(exist_ok=True)
    with whole(path) as partial, tempfile.TemporaryDirectory(dir=CHECKPOINTS) as folder:
        try:
            keras.Model(model.inputs, model.outputs, name=model.name).save(folder, zipped=False)
        except (OSError, RuntimeError, UnboundLocalError) as error:  # what HDF5 and Keras may make of a full disk
            raise OSError(errno.EIO, "cannot hold the model to save; is the disk full?", str(CHECKPOINTS)) from error
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


def read_model(path: str | Path) -> "keras.Model":
    """Load a `.keras` file in safe mode. Raises UserError where it is missing, damaged or carries code."""
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types for a damaged or unsafe file
        raise UserError(f"{path}: cannot be loaded ({errors.reason(error)}); {RESTORE_CACHED}") from None
