"""Folders outside the repository in which stages run on params and data of a benchmark's own."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.data.arrays import check
from study.params.load import load
from study.sources import images_of, synthetic

ROOT = Path(__file__).resolve().parents[1]
LINKED = (
    "benchmarks",
    "dvc.yaml",
    "requirements.txt",
    "stages",
    "study",
)  # what stages need of the repository, besides params.yaml
# The kernel counts memory in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """What one process took: seconds on the clock, the most memory resident in 10⁶ bytes, and CPU seconds."""

    seconds: float
    peak_mb: float
    cpu_seconds: float
    kernel_seconds: float  # of the CPU seconds


@contextmanager
def workspace(change: Callable[[dict], object] = lambda content: None) -> Iterator[Path]:
    """A temporary folder that looks like the repository, with params.yaml as `change` leaves it and no outputs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        change_params(folder, change)
        yield folder
    inputs.begin()  # forget what was read there


def change_params(folder: Path, change: Callable[[dict], object]) -> None:
    """Let `change` alter the content of a workspace's params.yaml in place."""
    yaml, path = YAML(), folder / "params.yaml"
    content = yaml.load(path.read_text(encoding="utf-8"))
    change(content)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def use_npz(content: dict, path: Path) -> None:
    """Point the `data` of params.yaml at an archive."""
    content["data"].update(source="npz", path=str(path.resolve()), sha256=files.sha256(path))


def run(folder: Path, *module: str, **environment: str) -> Usage:
    """`python -m MODULE` in the folder, what it prints on standard error. Ends this process where it fails.

    The kernel lets a child's peak start from its parent's memory: what is large belongs into `apart`.
    """
    print(f"--- {' '.join(module)}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", *module], cwd=folder, stdout=sys.stderr, env=os.environ | environment
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(child.returncode if child.returncode > 0 else 1)
    return Usage(
        time.perf_counter() - start,
        used.ru_maxrss * MAXRSS_UNIT / 1e6,
        used.ru_utime + used.ru_stime,
        used.ru_stime,
    )


def row(cells: Iterable) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def apart(function: Callable, *arguments) -> None:
    """Call a function of a module in a process of its own. Ends this process where it fails."""
    child = multiprocessing.get_context("spawn").Process(target=runtime.run, args=(function, *arguments))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(1)


def images(data: Path | None) -> dict[str, np.ndarray]:
    """The arrays of an .npz, or the images that data.synthetic of params.yaml describes, drawn by code; checked."""
    if data is None:
        data_params = load("data").data
        return check(synthetic.draw(**data_params.synthetic.model_dump(), seed=data_params.seed), "synthetic")
    if not data.is_file():
        raise UserError(f"--data {data} is no file; allowed: an .npz of x_train, y_train, x_test, y_test")
    return check(images_of.npz(str(data), files.sha256(data)), data.name)


def write_share(path: Path, arrays: dict[str, np.ndarray], train: slice, test: slice) -> Path:
    """Write an archive for `data.source: npz` that holds some rows of each split."""
    rows = {"train": train, "test": test}
    shares = {f"{key}_{split}": arrays[f"{key}_{split}"][rows[split]] for key in "xy" for split in rows}
    files.write_npz(path, **shares, class_names=arrays["class_names"])
    return path
