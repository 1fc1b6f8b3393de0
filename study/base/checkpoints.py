"""The folders checkpoints/NAME/KEY of training runs: who may write to one, where it lies, when it goes.

One run has one writer. A lock per name refuses a second run of this name in this workspace, whatever its params:
both would write the same model. A lock per key makes another workspace that trains the very same wait, and then
take what was trained. A lock goes with its process, however that ends.

The copies of the repository in which DVC runs queued experiments are deleted at their end, also when they are killed.
Their folders are links into the repository itself, so that an experiment that is queued again goes on.

The user may keep files of his own in checkpoints/. A file is deleted only if it begins as one that was written here, a
folder only if it has a lock.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from study.base import files
from study.base.runtime import UserError

LOCK = "lock"  # holds the number of the process
JOURNAL = "optuna.journal"
KEY_LENGTH = 16
# How a state, which np.savez writes, and a result begin: with their key, of 64 characters.
NPZ = re.compile(rb"PK\x03\x04.{26}key\.npy.{0,64}?\x93NUMPY[^\n]*'descr': '<U64'[^\n]*\n(.{256})", re.DOTALL)
RESULT = re.compile(rb'\{\s*"key": "([0-9a-f]{64})"')
HEAD_BYTES = 1024  # hold them


def only_one(name: str, work: str) -> TextIOWrapper:
    """A lock on the folder checkpoints/NAME, for this process alone. Raises UserError if another does this work."""
    return hold(files.CHECKPOINTS / name, refusal=work)


def hold(folder: Path, refusal: str = "") -> TextIOWrapper:
    """The lock of a folder, once it is free; with `refusal`, raise UserError if it is not."""
    path = folder / LOCK
    if path.is_symlink() or (_head(path) and not _is_lock(path)):
        raise UserError(f"{path}: is not the lock of a run, which has to lie there; move it")
    try:
        file = _lock(path)
    except BlockingIOError:
        holder = path.read_text(encoding="utf-8")
        if refusal:
            raise UserError(
                f"{folder}: process {holder} {refusal}; wait for it, or end it by `kill {holder}`, and run it again"
            ) from None
        print(f"{folder}: process {holder} trains the same; waiting to take what it trains", flush=True)
        file = _lock(path, wait=True)
    try:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return file


class Claim:
    """The folder of one run, for this process alone until `release` or its end."""

    def __init__(self, name: str, key: str):
        self.folder = files.CHECKPOINTS / name / key[:KEY_LENGTH]
        self._locks = [only_one(name, f"trains {name} in this folder")]
        if (shared := _shared(self.folder)) and not self.folder.is_symlink():
            shared.mkdir(parents=True, exist_ok=True)
            self.folder.symlink_to(shared)
        self._locks.append(hold(self.folder))

    def release(self) -> None:
        """Give the folder to others."""
        for lock in self._locks:
            lock.close()


def clear() -> None:
    """Delete the checkpoints of this workspace, but for those that a process holds.

    What the user keeps beside them stays. Of links, only those of `Claim` are followed.
    """
    cleared = _delete_journal()
    for folder in [Path(path) for path, _, _ in os.walk(files.CHECKPOINTS, topdown=False)]:
        for link in filter(Path.is_symlink, list(folder.iterdir())):
            shared = _shared(link)
            if link.readlink() == shared and (_clear(link) or not shared.exists()):
                link.unlink()
                remove_empty(shared, *list(shared.parents)[: len(link.parts) - 1])
        if _clear(folder):
            cleared = True
            remove_empty(folder)
    if cleared:
        remove_empty(files.CHECKPOINTS)  # but not a link, the user's choice of another place


def begin_journal() -> Path:
    """Delete the journal of the last search. Returns the path of the next one."""
    path = files.CHECKPOINTS / JOURNAL
    path.parent.resolve().mkdir(parents=True, exist_ok=True)
    _delete_journal()
    if path.is_symlink() or _head(path):
        raise UserError(f"{path}: is not the journal of a search, which has to lie there; move it")
    return path


def key_of(path: Path) -> str | None:
    """The key in a state or result, also in one that was cut while it was written; None if it is neither, or a link."""
    begin = {".npz": NPZ, ".json": RESULT}.get(Path(path.name.removesuffix(".partial")).suffix)
    if begin is None or path.is_symlink() or not path.is_file():
        return None
    match = begin.match(_head(path))
    return match and match[1].replace(b"\0", b"").decode(errors="replace")


@contextlib.contextmanager
def free(folder: Path) -> Iterator[bool]:
    """Lock the folder of a run and, at the end, delete its lock. Yields False if it has none, or a process holds it."""
    lock = folder / LOCK
    try:
        file = _lock(lock) if _is_lock(lock) else None
    except OSError:
        file = None
    yield file is not None
    if file:
        lock.unlink()
        file.close()


def remove_empty(*folders: Path) -> None:
    """Remove folders, each of them in the next, up to one that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _clear(folder: Path) -> bool:
    """Delete the checkpoint in the folder of a run, unless a process holds it. Returns whether it is deleted."""
    with contextlib.suppress(OSError), free(folder) as is_free:
        for path in list(folder.iterdir()) if is_free else ():
            if (key := key_of(path)) and key[:KEY_LENGTH] == folder.name:
                path.unlink()
        return is_free
    return False


def _delete_journal() -> bool:
    """Delete the journal of a search, and the lock that Optuna left on it if killed. Returns whether it was there."""
    path = files.CHECKPOINTS / JOURNAL
    lock = path.with_name(f"{JOURNAL}.lock")
    if lock.is_symlink() and lock.readlink() == path:
        lock.unlink()
    is_ours = not path.is_symlink() and _head(path).startswith(b'{"op_code":')
    if is_ours:
        path.unlink()
    return is_ours


def _is_lock(path: Path) -> bool:
    return not path.is_symlink() and _head(path).isdigit()


def _head(path: Path) -> bytes:
    """How a file begins; empty, if it is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), path.open("rb") as file:
        return file.read(HEAD_BYTES)
    return b""


def _shared(folder: Path) -> Path | None:
    """The folder in the repository itself, if this is the copy that DVC runs an experiment in."""
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    return root / folder if Path.cwd().resolve().is_relative_to(root / ".dvc" / "tmp") else None


def _lock(path: Path, wait: bool = False) -> TextIOWrapper:
    """The file, locked until it is closed. Raises BlockingIOError if another process holds it."""
    while True:
        path.parent.resolve().mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it was deleted between its opening and its lock
