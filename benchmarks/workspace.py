"""Folders outside the repository in which stages run on params and images of a benchmark's own."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks.results import ROOT
from study.base import files, runtime
from study.base.runtime import UserError
from study.commands import use
from study.data.arrays import check
from study.params.load import load
from study.sources import images_of, synthetic

LINKED = ("benchmarks", "dvc.yaml", "requirements.txt", "stages", "study")  # what stages need besides params.yaml
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit in which the system counts memory


@dataclass(frozen=True)
class Usage:
    """What one process took."""

    seconds: float  # on the clock
    cpu_seconds: float
    kernel_seconds: float  # of the CPU seconds
    peak_mb: float  # the most memory resident, in 10⁶ bytes
    epoch_ends: list[float]  # seconds from the start to the end of each epoch, validation included


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


def params_for(data: Path | None) -> Callable[[dict], object]:
    """What gives params.yaml the values of the study of real images, or of the drawn ones if there are no others."""
    values = use.read_studies()["cifar10" if data else "synthetic"]
    return lambda content: use.changed(content, values)


def change_params(folder: Path, change: Callable[[dict], object]) -> None:
    """Let `change` alter the content of a workspace's params.yaml in place."""
    yaml, path = YAML(), folder / "params.yaml"
    content = yaml.load(path.read_text(encoding="utf-8"))
    change(content)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def change_block(folder: Path, model: str, **values) -> None:
    """Set params of a model's block."""
    change_params(folder, lambda content: content["models"][model].update(values))


def use_images(folder: Path, data: Path | None, train: slice = slice(None), test: slice = slice(None)) -> None:
    """Run the stages up to `prepare` on some rows of each split of an .npz, or of the images drawn by code."""
    path = folder / "images.npz"
    apart(_write_images, path, data, train, test)
    source = {"source": "npz", "path": str(path), "sha256": files.sha256(path)}
    change_params(folder, lambda content: content["data"].update(source))
    prepare(folder)


def _write_images(path: Path, data: Path | None, train: slice, test: slice) -> None:
    arrays = images(data)
    count = len(arrays["y_train"])
    if (train.stop or 0) > count:
        raise UserError(f"{train.stop} training images are asked for; there are {count}")
    rows = {"train": train, "test": test}
    shares = {f"{key}_{split}": arrays[f"{key}_{split}"][rows[split]] for key in "xy" for split in rows}
    files.write_npz(path, **shares, class_names=arrays["class_names"])


def images(data: Path | None, **changes: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz, checked; without one, images drawn by code by `data.synthetic` of params.yaml, changed."""
    if data is None:
        data_params = load("data").data
        return check(synthetic.draw(**data_params.synthetic.model_dump() | changes, seed=data_params.seed), "synthetic")
    if not data.is_file():
        raise UserError(f"--data {data} is no file; allowed: an .npz of x_train, y_train, x_test, y_test")
    return check(images_of.npz(str(data), files.sha256(data)), data.name)


def prepare(folder: Path) -> None:
    for stage in ("download", "prepare"):
        run(folder, f"stages.{stage}")


def train(folder: Path, model: str) -> tuple[Usage, dict]:
    """Run train@MODEL from its start; what it took, and its record of validation, which holds the history."""
    shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)
    usage = run(folder, f"stages.train.{model}")
    return usage, record(folder, f"metrics/validation/{model}.json")


def evaluate(folder: Path, model: str) -> dict:
    """Run evaluate@MODEL; its record of the test split."""
    run(folder, "stages.evaluate", model)
    return record(folder, f"metrics/test/{model}.json")


def record(folder: Path, path: str) -> dict:
    return json.loads((folder / path).read_text(encoding="utf-8"))


def run(folder: Path, *module: str, **environment: str) -> Usage:
    """`python -m MODULE` in the folder, what it prints on standard error. Ends this process if it fails.

    The kernel lets a child's peak start from its parent's memory: what is large belongs into `apart`.
    """
    print(f"--- {' '.join(module)}", file=sys.stderr, flush=True)
    start, epoch_ends = time.perf_counter(), []
    command, environment = [sys.executable, "-m", *module], os.environ | environment
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as child:
        for line in child.stdout:
            if line.startswith("epoch "):
                epoch_ends.append(time.perf_counter() - start)
            print(line, end="", file=sys.stderr, flush=True)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(child.returncode if child.returncode > 0 else 1)
    return Usage(
        time.perf_counter() - start,
        used.ru_utime + used.ru_stime,
        used.ru_stime,
        used.ru_maxrss * MAXRSS_BYTES / 1e6,
        epoch_ends,
    )


def apart(function: Callable, *arguments) -> None:
    """Call a function of a module in a process of its own. Ends this process if it fails."""
    child = multiprocessing.get_context("spawn").Process(target=runtime.run, args=(function, *arguments))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(1)
