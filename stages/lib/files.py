"""Files that appear whole or not at all, and hold the same bytes for the same content."""

import csv
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.lib.errors import UserError

if TYPE_CHECKING:
    import keras


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; renamed to `path` at the end, removed on an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: dict) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict:
    """Read a JSON object that a stage wrote. Raises UserError where the file is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `dvc repro` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error}); `dvc checkout` or `dvc repro` restores it") from None


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write arrays uncompressed; numpy stamps no time into the archive, so equal arrays give equal bytes."""
    with whole(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def read_npz(path: str | Path, *keys: str) -> dict[str, np.ndarray]:
    """Read the named arrays (all, if none is named). Raises UserError where the file is missing, damaged,
    lacks one of them, or holds pickled objects, which are never loaded."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys or archive.files}
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `dvc repro` makes what a stage writes") from None
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold {', '.join(keys)}") from None
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: is not a readable .npz of plain arrays ({reason})") from None


def write_model(path: str | Path, model: "keras.Model") -> None:
    """Save the inference part of `model` as `.keras` whose bytes depend on nothing but layers and weights.

    Keras puts the date into metadata.json and the time into the zip entries; both are left out here.
    """
    import keras

    with whole(path) as temporary, tempfile.TemporaryDirectory(dir=temporary.parent) as folder:
        dated = Path(folder) / "model.keras"
        keras.Model(model.inputs, model.outputs, name=model.name).save(dated)
        with zipfile.ZipFile(dated) as source, zipfile.ZipFile(temporary, "w") as target:
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == "metadata.json":
                    content = json.dumps({"keras_version": json.loads(content)["keras_version"]}).encode()
                target.writestr(zipfile.ZipInfo(name), content)


def read_model(path: str | Path) -> "keras.Model":
    """Load a `.keras` file in safe mode. Raises UserError where it is missing, damaged or carries code."""
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types for a damaged or unsafe file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: cannot be loaded ({reason}); `dvc checkout` or `dvc repro` restores it") from None
