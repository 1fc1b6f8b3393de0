"""Repositories with hand-made records of runs: small files, and no run."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from samples import CLASSES, final, pictures, tune

from study.base import files
from study.evaluation import image_scores
from study.params.schema import TRAINED_BY_BEST
from study.search.outcome import winner

SKILLS = {"cnn2": 1.0, "resnet50": 1.0, "best": 1.4}
IMAGES = 150
SPREAD = {"raw_variance": 4e-5, "sampling_variance": 1e-5, "degrees_of_freedom": 8}
PARAMS = {
    "seed": 1,
    "models": {"cnn2": {"family": "cnn", "dropout": 0.3}, "resnet50": {"family": "resnet"}},
}


def git(folder: Path, *command: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *author, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def predictions(skill: float, images: int = IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that lean to the right class the more the skill."""
    labels = np.arange(images) % len(CLASSES)
    logits = np.random.default_rng(0).normal(size=(images, len(CLASSES)))
    odds = np.exp(logits + skill * np.eye(len(CLASSES))[labels])
    return labels, odds / odds.sum(axis=1, keepdims=True)


def write(
    folder: Path,
    skills: dict[str, float] = SKILLS,
    *,
    once: bool = False,
    images: int = IMAGES,
    names: list[str] = CLASSES,
    params: dict = PARAMS,
) -> None:
    """What a run leaves: params.yaml, dvc.lock and the metrics, of models with these skills, `best` among them.

    Older commits have no `control`. All but these two have three repeats, of the same scores, unless all are trained
    `once`.
    """
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    stages = {"prepare": {"outs": [{"path": "data/test.npz", "md5": f"{images} images"}]}}
    with contextlib.chdir(folder):
        files.write_text("params.yaml", json.dumps(params))
        search = tune("cnn2")
        files.write_json(winner.FILE, search if "control" in skills else _without(search, "control"))
        for name, skill in skills.items():
            labels, probabilities = predictions(skill, images)
            seeds = range(1 if once or name in TRAINED_BY_BEST else 3)
            spread = [SPREAD] if len(seeds) > 1 else []
            files.write_json(f"metrics/test/{name}.json", final(labels, probabilities, seeds, names, spread=spread))
            of_images = image_scores.image_scores(pictures(images), labels, [probabilities])
            image_scores.write(name, of_images, names)
            stage = stages.setdefault("best" if name in TRAINED_BY_BEST else f"train@{name}", {"outs": []})
            stage["outs"].append({"path": f"models/{name}.keras", "md5": f"skill {skill}"})
        files.write_text("dvc.lock", json.dumps({"stages": stages}))


def _without(record: dict, key: str) -> dict:
    return {name: value for name, value in record.items() if name != key}


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", tag)
    git(folder, "tag", tag)


HOSTILE = "<img src=x>|@user `_$`\x1b[31m"


def build(folder: Path) -> Path:
    """A repository with a run, tagged `base`, at its HEAD, and runs that each change it, under the tags below."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "study").mkdir()
    (folder / "study/code.py").write_text("# code\n")
    write(folder)
    commit(folder, "base")
    for tag, change in VARIANTS.items():
        change(folder)
        commit(folder, tag)
        git(folder, "reset", "--quiet", "--hard", "base")
    git(folder, "branch", "a|branch", "changed")
    git(folder, "update-ref", f"refs/exps/ab/{'c' * 38}/lone-exp", "changed")
    for baseline, tag in ((git(folder, "rev-parse", "base"), "comment"), ("d" * 40, "changed")):
        git(folder, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/twin-exp", tag)
    for baseline in ("e" * 40, "f" * 40):
        git(folder, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/foreign-exp", "changed")
    return folder


def changed_params(**changes) -> dict:
    return PARAMS | {"models": PARAMS["models"] | {"cnn2": PARAMS["models"]["cnn2"] | changes}}


def _changed(folder: Path) -> None:
    write(folder, SKILLS | {"cnn2": 1.6, "resnet50": 0.5}, params=changed_params(dropout=0.4))
    (folder / "study/code.py").write_text("# another comment\n")
    (folder / "study/new|<b>.py").write_text("")


def _older(folder: Path, file: str, key: str) -> None:
    """Take out of a file what older commits lack."""
    path = folder / file
    path.write_text(path.read_text().replace(key, f"no_{key}"))


def _without_records(folder: Path) -> None:
    shutil.rmtree(folder / "metrics")


VARIANTS: dict[str, Callable[[Path], None]] = {
    "changed": _changed,
    "comment": lambda folder: files.write_text(folder / "study/code.py", "# another comment\n"),
    "alike": lambda folder: write(folder, SKILLS | {"cnn2": 1.01}),
    "models": lambda folder: write(
        folder,
        {"cnn2": 1.0, "cnn3": 1.0, "best": 1.4},
        params={"seed": 1, "models": {"cnn2": PARAMS["models"]["cnn2"], "cnn3": {"family": "cnn"}}},
    ),
    "once": lambda folder: write(folder, once=True),
    "once_changed": lambda folder: write(folder, SKILLS | {"cnn2": 1.6}, once=True),
    "control": lambda folder: write(folder, SKILLS | {"control": 1.2}),
    "control_changed": lambda folder: write(folder, SKILLS | {"control": 1.6}),
    "lent": lambda folder: write(folder, SKILLS | {"best": 1.6}),
    "another_split": lambda folder: write(folder, images=90),
    "other_labels": lambda folder: write(folder, names=["a", "c", "b"]),
    "no_repeats": lambda folder: _older(folder, "metrics/test/cnn2.json", "repeats"),
    "no_mean_shortfall": lambda folder: _older(folder, "metrics/images/cnn2.csv", "mean_shortfall"),
    "no_records": _without_records,
    "hostile": lambda folder: write(folder, params=changed_params(dropout=HOSTILE)),
}
