"""Files that appear whole or not at all, and hold the same bytes for the same content: text, JSON, CSV, npz."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from study.base import inputs
from study.base.runtime import UserError, check_inputs, first_line, memory

# The state of unfinished runs; ignored by git and DVC.
CHECKPOINTS = Path("checkpoints")

# Errors of the disk or the user's rights, not of what a file holds.
OF_DISK = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EIO)

# Remedies: small files are in git, the others in DVC's cache.
RESTORE = "`git restore` it, or `dvc repro --force` its stage"
RESTORE_CACHED = (
    "delete it, then `dvc checkout` or `dvc repro` restores what a stage made (if it comes back damaged, delete its "
    "copy in .dvc/cache, which dvc.lock names, as well)"
)
# What git leaves in the place of a file, and what to do.
POINTER = b"version https://git-lfs.github.com/spec/"
CONFLICT = re.compile(rb"^<<<<<<< ", re.MULTILINE)
OF_LFS = "is a pointer of Git LFS; `git lfs pull` gets the file; a commit to compare with has to hold it without LFS"
OF_MERGE = "holds both sides of a merge; resolve the conflict, then run `dvc repro`"


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write beside `path`; renamed to `path` at the end, removed on an error.

    Its name ends in .partial, which git and DVC ignore: what a killed stage leaves is never taken for an output. Raises
    UserError if what the stage was made from has changed. After a power failure the file is whole, too. A checkpoint
    needs neither: its key says what made it, and a damaged one is refused.
    """
    path = Path(path)
    is_output = not _is_checkpoint(path)
    path.parent.resolve().mkdir(parents=True, exist_ok=True)  # also if a link to it is left
    partial = path.with_name(f"{path.name}.partial")
    if partial.is_symlink():
        raise UserError(f"{partial}: is a link, and a file is about to be written there; move it")
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


def searched(path: str) -> str:
    """For messages: where a relative path was looked for, and what DVC makes of it."""
    if lost := broken_link(path):
        return f", and {lost}"
    if Path(path).is_absolute():
        return ""
    return (
        f" in {Path.cwd()} (`dvc exp run` with --queue or --temp works in a folder of its own: give an absolute path)"
    )


def missing(path: str | Path) -> UserError:
    """What to say if there is no file at the path of an output."""
    return UserError(f"{path}: {broken_link(path) or 'is missing; `dvc repro` makes it'}")


def broken_link(path: str | Path) -> str:
    """For messages: the link that leads to no file, be it the path or a folder of it. Empty if there is none.

    DVC links outputs to its cache by absolute paths, if so configured: they break if either is moved.
    """
    for place in (Path(path), *Path(path).parents):
        if place.is_symlink() and not place.exists():
            name = "" if place == Path(path) else f"{place} "
            remedy = f"run `dvc checkout {place}` if DVC made it, else mend it"
            return f"{name}is a link to {place.readlink()} that leads to no file; {remedy}"
    return ""


def unreadable(path: str | Path, reason: str) -> UserError:
    """What to say of a file that is there and cannot be used. Deleting it is advised if a stage made it."""
    left = None
    with contextlib.suppress(OSError), Path(path).open("rb") as file:
        left = left_by_git(file.read(len(POINTER)))
    remedy = f"; {RESTORE_CACHED}" if is_output(path) else ""
    return UserError(f"{path}: {left or f'{reason}{remedy}'}")


def left_by_git(content: bytes) -> str | None:
    """What git left in the place of a text, with the remedy; None if it is neither a pointer nor a conflict."""
    if content.startswith(POINTER):
        return OF_LFS
    return OF_MERGE if CONFLICT.search(content) else None


def is_output(path: str | Path) -> bool:
    """Whether dvc.lock names the file among what stages made."""
    lock = Path("dvc.lock")
    text = lock.read_text(encoding="utf-8", errors="replace") if lock.is_file() else ""
    outs = rf"^    outs:\n(?:    [- ].*\n)*?    - path: {re.escape(os.path.relpath(path))}$"
    return re.search(outs, text, re.MULTILINE) is not None


def sha256(path: str | Path) -> str:
    """64 lower-case hex digits."""
    with Path(path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: dict) -> None:
    """Write a record; a list of flat records in it takes one line per record."""
    entries = (f"  {_json(key)}: {_value(value)}" for key, value in content.items())
    write_text(path, "{\n" + ",\n".join(entries) + "\n}\n")


def _value(value: Any) -> str:
    if isinstance(value, list) and value and all(map(_is_flat, value)):
        return "[\n    " + ",\n    ".join(map(_json, value)) + "\n  ]"
    return _json(value, indent=2).replace("\n", "\n  ")


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(entry, dict | list) for entry in value.values())


def _json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, **options)


def read_json(path: str | Path, kind: type) -> Any:
    """Read what a stage wrote, as the type `kind`. Raises UserError if the file is missing, damaged or unfit."""
    return parse_json(_content(path), str(path), kind)


def parse_json(content: bytes, name: str, kind: type, remedy: str = RESTORE) -> Any:
    """A record of the type `kind`. Raises UserError, with the name and the remedy, if it is damaged or unfit."""
    from pydantic import TypeAdapter, ValidationError  # takes a quarter of a second, which `predict` saves

    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        what = f"lacks {place}" if fault["type"] == "missing" else f"{place} {fault['msg']}"
        raise UserError(f"{name}: {what}; {remedy}") from None


def _content(path: str | Path) -> bytes:
    remember(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise missing(path) from None
    if left := left_by_git(content):
        raise UserError(f"{path}: {left}")
    return content


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path: str | Path) -> list[list[str]]:
    """The rows of a table that a stage wrote, its header first. Raises UserError if it is missing or damaged."""
    return parse_csv(_content(path), str(path))


def parse_csv(content: bytes, name: str, remedy: str = RESTORE) -> list[list[str]]:
    """The rows of a table, its header first. Raises UserError, with the name and the remedy, if it is damaged."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{name}: is not a readable table ({error}); {remedy}") from None
    if len({len(row) for row in rows}) != 1:
        raise UserError(f"{name}: is not a whole table; {remedy}")
    return rows


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write arrays uncompressed; numpy stamps no time into the archive, so equal arrays give equal bytes."""
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def opened(content: bytes, name: str) -> BinaryIO:
    """An open file of this content; messages call it by the name."""
    file = io.BytesIO(content)
    file.name = name
    return file


def read_npz(
    source: str | Path | BinaryIO, *keys: str, optional: Sequence[str] = (), remedy: str = ""
) -> dict[str, np.ndarray]:
    """Read the named arrays (all, if none is named), and the optional ones that are there, of a file or an open file.

    No other entry is read. Raises UserError, which ends with the remedy, if the file is missing, damaged, lacks one
    of them, holds two of a name, more than memory, or pickled objects, which are never loaded.
    """
    path = source if isinstance(source, str | Path) else source.name
    if not isinstance(source, io.BytesIO):
        remember(path)
    try:
        with zipfile.ZipFile(source) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            chosen = [*keys, *(key for key in optional if key in names)] or names
            if not (lacking := [key for key in keys if key not in names]):
                return _arrays(archive, chosen)
        reason = f"lacks {', '.join(lacking)}; it must hold {', '.join(keys)}"
    except FileNotFoundError:
        raise missing(path) from None
    except MemoryError as error:
        raise UserError(f"{path}: {first_line(error)}; fewer or smaller images need less") from None
    except Exception as error:  # numpy, zipfile and the decompressors raise many types
        if getattr(error, "errno", None) in OF_DISK:
            raise OSError(error.errno, error.strerror, str(path)) from None
        reason = f"is not a readable .npz of plain arrays ({first_line(error)})"
    if remedy:
        raise UserError(f"{path}: {reason}; {remedy}")
    raise unreadable(path, reason)


def _arrays(archive: zipfile.ZipFile, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays, once all of them are known to fit into memory. Raises ValueError that names a damaged entry."""
    needed = sum(archive.getinfo(f"{key}.npy").file_size for key in keys)
    if needed > memory():
        raise MemoryError(f"its arrays take {needed / 1e9:.1f} GB; this machine has {memory() / 1e9:.1f} GB of memory")
    return {key: _array(archive, f"{key}.npy") for key in keys}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    try:
        if archive.namelist().count(name) > 1:
            raise ValueError("is there more than once")
        with archive.open(name) as content:
            array = npy.read_array(content, allow_pickle=False)
            if content.read(1) or array.dtype.kind not in "biufcSU":
                raise ValueError("holds more than one array of numbers or text")
        return array
    except Exception as error:
        if getattr(error, "errno", None) in OF_DISK or isinstance(error, MemoryError):
            raise
        raise ValueError(f"{name}: {first_line(error)}") from None
