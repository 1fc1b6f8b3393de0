"""Files that appear whole or not at all, and hold the same bytes for the same content: text, JSON, CSV, npz."""

import contextlib
import csv
import hashlib
import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from study import inputs
from study.runtime import UserError, check_inputs, first_line

# The state of unfinished trainings; ignored by git and DVC.
CHECKPOINTS = Path("checkpoints")

# What numpy and zipfile raise for damaged archives, pickled arrays and other kinds of file.
UNREADABLE = (
    *(ValueError, TypeError, AttributeError, RuntimeError, OSError, EOFError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)

# Remedies: small files are in git, the others in DVC's cache.
RESTORE = "`git restore` it, or `dvc repro --force` its stage"
RESTORE_CACHED = (
    "delete it, then `dvc checkout` or `dvc repro` restores what a stage made (if it comes back damaged, delete its "
    "copy in .dvc/cache, which dvc.lock names, as well)"
)


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write beside `path`; renamed to `path` at the end, removed on an error.

    Its name ends in .partial, which git and DVC ignore: what a killed stage leaves is never taken for an output. Raises
    UserError where what the stage was made from has changed. After a power failure the file is whole, too. A checkpoint
    needs neither: its key says what made it, and a damaged one is refused.
    """
    path = Path(path)
    is_output = not _is_checkpoint(path)
    path.parent.resolve().mkdir(parents=True, exist_ok=True)  # also where a link to it is left
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        if is_output:
            check_inputs()
            _sync(partial)
        partial.replace(path)
        if is_output:
            with contextlib.suppress(OSError):  # not every system syncs folders
                _sync(path.parent)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # a full disk names no file
    finally:
        partial.unlink(missing_ok=True)


def remember(path: str | Path) -> None:
    """Have a stage refuse to write outputs once this file, which it is about to read, has changed."""
    if not _is_checkpoint(path):
        inputs.remember(path, inputs.stamp(path))


def _is_checkpoint(path: str | Path) -> bool:
    return CHECKPOINTS in Path(path).parents


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    remember(path)
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
    remember(path)
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
    remember(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys or archive.files}
        for key, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{key} is no array")
        return arrays
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `dvc repro` makes it") from None
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold {', '.join(keys)}; {remedy}") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: is not a readable .npz of plain arrays ({first_line(error)}); {remedy}") from None
