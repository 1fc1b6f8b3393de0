"""What a stage was made from, compared with the disk before its outputs appear.

DVC hashes the code, params and files that a stage depends on after the stage has run: it would record what was edited
meanwhile as what made the outputs. So a stage remembers its code as the process starts, and params and files as it
reads them; `changed` names what is no longer the same. It is asked before an output appears (`files.whole`), at the end
(`runtime.run`), and before a run takes a checkpoint, whose key has to name the code that runs.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = ("stages", "study")
ROOT = Path(__file__).parents[2]
# Packages that cannot change an output, and why. What only they import cannot, either.
# Nor can stages/__init__.py, which prepares the process; no statement imports it.
NO_DEPS = {
    "study.cluster": "runs the same training runs elsewhere",
    "study.display": "shows running work",
    "study.params": "checks params.yaml, whose values each stage declares",
}
# Packages of study that no training run uses: they use what it leaves, or what comes before it.
NOT_TRAINING = (
    *("__main__", "cleaning", "commands", "compare", "drawing", "eda", "evaluation"),
    *("model_files", "report", "search", "serving", "sources"),
)

Stamp = tuple[int, int, int] | None


class _Memory:
    """What the process has remembered, by path."""

    def __init__(self):
        self.code: dict[str, tuple[Stamp, str]] = {}
        self.read: dict[str, tuple[Stamp, Callable[[], bool]]] | None = None  # until the stage begins


_memory = _Memory()


def remember_code() -> None:
    """Remember every module of the project, before it is imported."""
    for path in (path for folder in PROJECT for path in (ROOT / folder).rglob("*.py")):
        with contextlib.suppress(OSError):  # an editor may be writing it
            _memory.code[str(path)] = stamp(path), _sha256(path)


def remembered_code() -> dict[str, str]:
    """SHA-256 of every module that `remember_code` found, by its path in the repository."""
    return {Path(path).relative_to(ROOT).as_posix(): digest for path, (_, digest) in sorted(_memory.code.items())}


def begin() -> None:
    """Remember what is read from now on."""
    _memory.read = {}


def remember(path: str | Path, before: Stamp, is_same: Callable[[], bool] = lambda: False) -> None:
    """Remember a file by its stamp before it was read. If that changes, `is_same` tells whether the content did not."""
    if _memory.read is not None:
        _memory.read.setdefault(str(Path.cwd() / path), (before, is_same))


def changed() -> str | None:
    """The path of a loaded module or a file that was read, if it is no longer what it was; None outside of a stage."""
    if _memory.read is None:
        return None
    for path in _loaded().values():
        before, digest = _memory.code.get(path, (None, None))
        if digest and stamp(path) != before and _sha256(path) != digest:
            return os.path.relpath(path)
    for path, (before, is_same) in _memory.read.items():
        if stamp(path) != before and not is_same():
            return os.path.relpath(path)
    return None


def code(script: str = "") -> dict[str, str]:
    """SHA-256 of every module that can change a training run, as it was when the process started, by its path.

    These are stages/train/SCRIPT.py and the packages of study, loaded or not: a run has one key in all stages.
    """
    unused = {*(f"study.{name}" for name in NOT_TRAINING), *NO_DEPS}
    return {
        path: digest
        for path, digest in remembered_code().items()
        if path == f"stages/train/{script}.py"
        or (path.startswith("study/") and ".".join(Path(path).with_suffix("").parts[:2]) not in unused)
    }


def stamp(path: str | Path) -> Stamp:
    """Time, size and number of a file: each write changes one of them. None if there is no file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _loaded() -> dict[str, str]:
    """The path of every module of the project that is loaded, by name."""
    specs = (getattr(module, "__spec__", None) for module in list(sys.modules.values()))
    return {spec.name: spec.origin for spec in specs if spec and spec.origin and spec.name.partition(".")[0] in PROJECT}


def _sha256(path: str | Path) -> str:
    """Empty if there is no such file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
