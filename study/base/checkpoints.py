"""The folders checkpoints/NAME/KEY of training runs: who may write to one, where it lies, when it goes.

One run has one writer. A lock per name refuses a second run of this name in this workspace, whatever its params:
both would write the same model. A lock per key makes another workspace that trains the very same wait, and then
take what was trained. A lock goes with its process, however that ends.

The copies of the repository in which DVC runs queued experiments are deleted at their end, also when they are killed.
Their folders are links into the repository itself, so that an experiment that is queued again goes on.
"""

import contextlib
import fcntl
import os
from io import TextIOWrapper
from pathlib import Path

from study.base import files
from study.base.runtime import UserError

LOCK = "lock"  # holds the number of the process
KEY_LENGTH = 16


def only_one(name: str, work: str) -> TextIOWrapper:
    """A lock on the folder checkpoints/NAME, for this process alone. Raises UserError if another does this work."""
    return _hold(files.CHECKPOINTS / name, refusal=work)


class Claim:
    """The folder of one run, for this process alone until `release` or its end."""

    def __init__(self, name: str, key: str):
        self.folder = files.CHECKPOINTS / name / key[:KEY_LENGTH]
        self._locks = [only_one(name, f"trains {name} in this folder")]
        if (repository := _repository()) and not self.folder.is_symlink():
            shared = repository / self.folder
            shared.mkdir(parents=True, exist_ok=True)
            self.folder.symlink_to(shared)
        self._locks.append(_hold(self.folder))

    def release(self) -> None:
        """Give the folder to others."""
        for lock in self._locks:
            lock.close()


def clear() -> None:
    """Delete the checkpoints of this workspace, but for those that a process holds."""
    for path, _, names in os.walk(files.CHECKPOINTS, topdown=False, followlinks=True):
        folder = Path(path)
        with contextlib.suppress(OSError):  # of a lock that is held, and of the folders around it
            with _lock(folder / LOCK) if LOCK in names else contextlib.nullcontext():
                for name in names:
                    (folder / name).unlink()
            if folder == files.CHECKPOINTS and folder.is_symlink():
                continue  # the user's choice of another place
            if folder.is_symlink():
                os.removedirs(folder.resolve())  # with those around it that are empty
                folder.unlink()
            else:
                folder.rmdir()


def _repository() -> Path | None:
    """The repository, if this is the copy that DVC runs an experiment in."""
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    return root if Path.cwd().resolve().is_relative_to(root / ".dvc" / "tmp") else None


def _hold(folder: Path, refusal: str = "") -> TextIOWrapper:
    """The lock of a folder, once it is free; with `refusal`, raise UserError if it is not."""
    path = folder / LOCK
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
