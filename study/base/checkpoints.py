"""The folders checkpoints/NAME/KEY of training runs: who may write to one, where it lies, when it goes.

One run has one writer. A lock per name refuses a second run of this name in this workspace, whatever its params:
both would write the same model. A lock per key makes another workspace that trains the very same wait, and then
take what was trained. A lock goes with its process, however that ends.

The copies of the repository in which DVC runs queued experiments are deleted at their end, also when they are killed.
Their folders are links into the repository itself, so that an experiment that is queued again goes on.

Users may keep files of their own in checkpoints/. Only files with the names below are deleted, in folders with a lock.
"""

import contextlib
import fcntl
import os
import re
from io import TextIOWrapper
from pathlib import Path

from study.base import files
from study.base.runtime import UserError

LOCK = "lock"  # holds the number of the process
KEY_LENGTH = 16
KEY = re.compile(f"[0-9a-f]{{{KEY_LENGTH}}}")  # how the folder of a run is called
STATES = ("head.npz", "model.npz")  # of a run that goes on
FILES = (*STATES, "weights.npz", "result.json")  # in the folder of a run
JOURNAL = "optuna.journal"


def only_one(name: str, work: str) -> TextIOWrapper:
    """A lock on the folder checkpoints/NAME, for this process alone. Raises UserError if another does this work."""
    return hold(files.CHECKPOINTS / name, refusal=work)


def hold(folder: Path, refusal: str = "") -> TextIOWrapper:
    """The lock of a folder, once it is free; with `refusal`, raise UserError if it is not."""
    path = folder / LOCK
    if path.is_symlink() or (path.exists() and path.stat().st_size and not _is_lock(path)):
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

    What users keep beside them stays. Of links, only those of `Claim` are followed.
    """
    delete_journal()
    for folder in [Path(path) for path, _, _ in os.walk(files.CHECKPOINTS, topdown=False)]:
        for link in filter(Path.is_symlink, list(folder.iterdir())):
            shared = _shared(link)
            if link.readlink() == shared and (_clear(link) or not shared.exists()):
                link.unlink()
                remove_empty(shared, *list(shared.parents)[: len(link.parts) - 1])
        if _clear(folder):
            remove_empty(folder)
    remove_empty(files.CHECKPOINTS)  # but not a link, the user's choice of another place


def delete_journal() -> Path:
    """Delete the journal of the last search, and the lock that Optuna leaves on it if killed. Returns its path."""
    path = files.CHECKPOINTS / JOURNAL
    for written in (path, path.with_name(f"{JOURNAL}.lock")):
        written.unlink(missing_ok=True)
    return path


def remove_empty(*folders: Path) -> None:
    """Remove folders, each of them in the next, up to one that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _clear(folder: Path) -> bool:
    """Delete the lock of a folder and the files of a run in it, unless a process holds it. Whether they are deleted."""
    path = folder / LOCK
    with contextlib.suppress(OSError):
        if _is_lock(path):
            with _lock(path):
                if KEY.fullmatch(folder.name):
                    for name in FILES:
                        (folder / name).unlink(missing_ok=True)
                        (folder / f"{name}.partial").unlink(missing_ok=True)
                path.unlink()
            return True
    return False


def _is_lock(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes().isdigit()


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
