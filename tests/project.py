"""Copies of the project in repositories of their own, driven by the commands that a user types."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pace
from ruamel.yaml import YAML

from study.params.schema import TRAINED_BY_BEST

ROOT = Path(__file__).resolve().parent.parent
RECORD = ("metrics/", "plots/", "reports/", "dvc.lock")
SMALL_MODEL = "cnn3_plateau"
TINY_MODELS = ["cnn2", "cnn2_dropout", "cnn3_plateau", "resnet50"]
TINY_TUNED = "cnn3_plateau"
TINY_SCORED = [*TINY_MODELS, *TRAINED_BY_BEST]  # all models that the tiny run scores
OUTPUTS = ("data", "models", "metrics", "plots", "reports", "dvc.lock")
SECONDS = 500  # no command takes so long on an idle machine
# What an outer pipeline, the user, or the packages that a test imports may have set.
UNSET = ("AWS_", "DVC_", "KERAS_", "MPL", "TF_")


def environment(**changes: str) -> dict[str, str]:
    """This interpreter's commands first in PATH, and no setting of DVC, Keras, matplotlib or TensorFlow."""
    outer = {key: value for key, value in os.environ.items() if not key.startswith(UNSET)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return outer | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | changes


def shell(folder: Path, *command: str | Path, check: bool = True, **changes: str) -> subprocess.CompletedProcess:
    """Run a command with some environment variables changed; fail if it fails, unless `check` is false."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=pace.seconds(SECONDS),
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def once(folder: Path, build: Callable[[Path], None]) -> Path:
    """The folder as `build` leaves it; built by the first process that asks for it, while the others wait."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = folder.with_suffix(".built")
        if not built.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            built.touch()
    return folder


def params(folder: Path = ROOT) -> dict:
    """params.yaml, as committed or as in a copy, free to change."""
    return YAML(typ="safe").load((folder / "params.yaml").read_text(encoding="utf-8"))


def leaves(section: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each param below a section."""
    for key, value in section.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]


def copy(folder: Path, change: Callable[[dict], dict]) -> Path:
    """A repository in `folder` with this working tree and other params, and without dropped models and results."""
    folder.mkdir(exist_ok=True)
    listed = shell(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(RECORD):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    changed = change(params(folder))
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(changed, file)
    dropped = "|".join(params()["models"].keys() - changed["models"].keys())
    pipeline = (folder / "dvc.yaml").read_text(encoding="utf-8")
    pipeline = re.sub(rf"^ +- metrics/\w+/({dropped})\.\w+\n", "", pipeline, flags=re.MULTILINE)
    (folder / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    shell(folder, "git", "init", "--quiet")
    shell(folder, "git", "config", "user.name", "test")
    shell(folder, "git", "config", "user.email", "test@localhost")
    commit(folder, "params")
    return folder


def small(params: dict) -> dict:
    """Params of a graph with one model that has dropout, early stopping and a plateau schedule, and three trials."""
    params["data"]["synthetic"] |= {"train_images": 240, "test_images": 60, "duplicates": 4, "leaks": 3}
    block = params["models"][SMALL_MODEL]
    block |= {"repeats": 2, "epochs": 6, "batch_size": 16, "early_stopping_patience": 2}
    block["schedule"] |= {"patience": 1}
    params["models"] = {SMALL_MODEL: block}
    params["tune"] |= {"trials": 3, "round_size": 2, "epochs": 4, "rungs": 2, "reduction_factor": 2, "models": 1}
    params["tune"] |= {"finalists": 2, "repeats": 2}
    params["tune"]["space"]["cnn"]["epochs"] = [6]
    return params


def tiny(params: dict) -> dict:
    """Params of the whole graph at its least: every model but ResNet101 for one epoch."""
    params["data"]["synthetic"] |= {"train_images": 160, "test_images": 60, "duplicates": 4, "leaks": 3}
    params["prepare"]["validation_fraction"] = 0.2
    params["models"] = {name: params["models"][name] for name in TINY_MODELS}
    for block in params["models"].values():
        block |= {"repeats": 1, "epochs": 1, "batch_size": 64}
    params["models"][TINY_TUNED]["repeats"] = 2
    params["tune"] |= {"trials": 2, "epochs": 1, "rungs": 1, "models": [TINY_TUNED], "finalists": 2, "repeats": 2}
    params["tune"]["space"]["cnn"] = {"dropout": {"low": 0.0, "high": 0.5, "log": False}}
    return params


def commit(folder: Path, message: str) -> None:
    shell(folder, "git", "add", "--all")
    shell(folder, "git", "commit", "--quiet", "--message", message)


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that stages have written, whole ones and not those in the making."""
    paths = [path for name in OUTPUTS for path in [folder / name, *(folder / name).rglob("*")]]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
        if path.is_file() and path.name != ".gitignore" and path.suffix != ".partial"
    }


def before_the_run(repository: Path, folder: Path) -> Path:
    """A clone in `folder` of what `copy` made, as it was before it was run and its results were committed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    shell(repository, "git", "clone", "--quiet", ".", str(folder))
    shell(folder, "git", "reset", "--quiet", "--hard", "HEAD~1")
    return folder


def lock(folder: Path) -> dict[str, dict]:
    """What dvc.lock records of each stage: `cmd`, `deps` and `outs` with their paths, `params` with their values."""
    return YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def paths(entry: dict, section: str) -> set[str]:
    """The paths in the `deps` or `outs` of a stage in dvc.lock."""
    return {file["path"] for file in entry[section]}


def changed(status: list, section: str) -> dict[str, str]:
    """The `deps` or `outs` that `dvc status --json` calls changed in a stage, each with how it was."""
    return {
        path: how
        for part in status
        if isinstance(part, dict)
        for path, how in part.get(f"changed {section}", {}).items()
    }


def epochs(printed: str, stage: str = "") -> list[str]:
    """The epochs that a run finished, as `train@cnn2 repeat 0 3` or `tune trial 0 of cnn2, epochs: 4, 3`: each prints
    its line once it is saved.

    `stage` is the one that runs as the text begins; DVC names those that follow. The end of a repeat prints its seed.
    """
    finished, trial, repeat = [], "repeat 0 ", 0
    for line in printed.splitlines():
        if running := re.match(r"Running stage '(.+)':", line):
            stage, trial, repeat = running[1], "repeat 0 ", 0
        elif re.match(r"\w+, seed \d+: ", line):
            repeat += 1
            trial = f"repeat {repeat} "
        elif next_trial := re.match(r"(repeat \d+ of )?(fresh )?(trial \d+|own block) of \w+, epochs: \d+", line):
            trial = f"{next_trial[0]}, "
        elif epoch := re.match(r"epoch (\d+)/\d+: ", line):
            finished.append(f"{stage} {trial}{epoch[1]}")
    return finished


def assert_trained_once(needed: list[str], runs: list[list[str]]) -> None:
    """Assert that runs, all but the last of them stopped at some instant, finished the needed epochs, none twice.

    A process that is stopped between saving an epoch and printing its line costs that line.
    """
    finished = [epoch for run in runs for epoch in run]
    assert [epoch for epoch in sorted(set(finished)) if finished.count(epoch) > 1] == []
    assert set(finished) <= set(needed)
    assert len(finished) > len(needed) - len(runs), set(needed) - set(finished)
