"""Copies of the project in repositories of their own, driven by the commands that a user types."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
RECORD = {"metrics", "plots", "reports", "dvc.lock"}
TINY_MODELS = ["cnn2", "cnn2_dropout", "cnn3_dropout", "cnn3_plateau", "resnet50"]
OUTPUTS = ("data", "models", "metrics", "plots", "reports", "dvc.lock")


def environment(**changes: str) -> dict[str, str]:
    """This interpreter's commands first in PATH, without the DVC variables of an outer pipeline."""
    outer = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return outer | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | changes


def shell(folder: Path, *command: str, check: bool = True, **changes: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command, cwd=folder, env=environment(**changes), capture_output=True, text=True, timeout=500, check=False
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def copy(folder: Path, change: Callable[[dict], dict]) -> Path:
    """A repository in `folder` with this working tree, params.yaml changed, and no results."""
    listed = shell(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and Path(name).parts[0] not in RECORD:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yaml = YAML(typ="safe")
    params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(change(params), file)
    shell(folder, "git", "init", "--quiet")
    shell(folder, "git", "config", "user.name", "test")
    shell(folder, "git", "config", "user.email", "test@localhost")
    commit(folder, "params")
    return folder


def small(params: dict) -> dict:
    """Params of a graph with one model that has dropout, early stopping and a plateau schedule, and three trials."""
    params["data"]["synthetic"] |= {"train_images": 400, "test_images": 60, "duplicates": 4, "leaks": 3}
    params["scoring"]["bootstrap_replicates"] = 100
    block = params["models"]["cnn3_plateau"]
    block |= {"epochs": 8, "batch_size": 16, "early_stopping_patience": 3}
    block["schedule"] |= {"patience": 1}
    params["models"] = {"cnn3_plateau": block}
    params["tune"] |= {"trials": 3, "epochs": 3, "startup_trials": 1, "models": 1}
    params["tune"]["space"]["cnn"]["epochs"] = [8]
    return params


def tiny(params: dict) -> dict:
    """Params of the whole graph at its least: every model but ResNet101 for one epoch."""
    params["data"]["synthetic"] |= {"train_images": 160, "test_images": 60, "duplicates": 4, "leaks": 3}
    params["scoring"]["bootstrap_replicates"] = 100
    params["models"] = {name: params["models"][name] for name in TINY_MODELS}
    for block in params["models"].values():
        block |= {"epochs": 1, "batch_size": 64}
    params["tune"] |= {"trials": 2, "epochs": 1, "startup_trials": 1, "models": ["cnn3_plateau"]}
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
