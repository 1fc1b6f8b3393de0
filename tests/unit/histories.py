"""Repositories with hand-made records of runs: small files, and no run."""

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from samples import CLASSES, pictures, searches, tune

from study.base import files
from study.evaluation import final_scores, image_scores
from study.params.schema import TRAINED_BY_BEST
from study.search.outcome import winner

SKILLS = {"cnn2": 1.0, "resnet50": 1.0, "best": 1.4}
IMAGES = 150
PARAMS = {
    "seed": 1,
    "tune": {"trials": 4},
    "models": {"cnn2": {"family": "cnn", "dropout": 0.3}, "resnet50": {"family": "resnet"}},
}


def git(folder: Path, *command: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *author, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def predictions(
    skill: float, images: int = IMAGES, repeat: int = 0, sway: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that lean to the right class the more the skill; repeats differ the more the sway."""
    labels = np.arange(images) % len(CLASSES)
    logits, seeds = (np.random.default_rng(seed).normal(size=(images, len(CLASSES))) for seed in (0, repeat))
    odds = np.exp(logits + sway * seeds * (repeat > 0) + skill * np.eye(len(CLASSES))[labels])
    return labels, odds / odds.sum(axis=1, keepdims=True)


def write(
    folder: Path,
    skills: dict[str, float] = SKILLS,
    *,
    repeats: int = 3,
    images: int = IMAGES,
    names: list[str] = CLASSES,
    params: dict = PARAMS,
    sway: float = 0.2,
    first_seed: int = 0,
    search: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """What a run leaves: params.yaml, dvc.lock and the metrics, of models with these skills, `best` among them.

    Older commits have no `control`. All but these two have so many repeats.
    """
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    with contextlib.chdir(folder):
        files.write_text("params.yaml", json.dumps(params))
        record = tune("cnn2") | search
        files.write_json(winner.FILE, record if "control" in skills else _without(record, "control"))
        for name, skill in skills.items():
            seeds = range(first_seed, first_seed + (1 if name in TRAINED_BY_BEST else repeats))
            labels, _ = predictions(skill, images)
            runs = [predictions(skill, images, seed, sway)[1] for seed in seeds]
            files.write_json(f"metrics/test/{name}.json", final_scores.final_scores(labels, runs, seeds, names))
            image_scores.write(name, image_scores.image_scores(pictures(images), labels, runs), names)
        lock({name: f"skill {skill} by {first_seed}" for name, skill in skills.items()}, images)


def lock(models: dict[str, str], images: int = IMAGES) -> None:
    """Write the dvc.lock of the params and metrics in the working folder, with these hashes of the models."""
    params = json.loads(Path("params.yaml").read_text(encoding="utf-8"))

    def stage(sections: dict, deps: list[dict], outs: list[dict]) -> dict:
        return {"params": {"params.yaml": sections}, "deps": deps, "outs": outs}

    tested = out("data/test.npz", f"{images} images")
    seed, search = {"seed": params["seed"]}, out(winner.FILE)
    stages = {
        "prepare": stage({}, [], [tested]),
        "tune": stage({"models": params["models"], "tune": params["tune"]} | seed, [], [search]),
        "best": stage(seed, [search], []),
    }
    for name, md5 in models.items():
        model = out(f"models/{name}.keras", md5)
        scores = [out(f"metrics/test/{name}.json"), out(image_scores.path(name))]
        if name in TRAINED_BY_BEST:
            stages["best"]["outs"] += [model, *scores]
        else:
            stages[f"train@{name}"] = stage({f"models.{name}": params["models"][name]} | seed, [], [model])
            stages[f"evaluate@{name}"] = stage({}, [model], scores)
    files.write_text("dvc.lock", json.dumps({"schema": "2.0", "stages": stages}))


def out(path: str, md5: str | None = None) -> dict[str, str]:
    """A file as dvc.lock lists it."""
    return {"path": path, "hash": "md5", "md5": md5 or hashlib.md5(Path(path).read_bytes()).hexdigest()}


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


def _partly(folder: Path) -> None:
    """cnn2 was trained with another param, by itself: the search has not run since."""
    search = json.loads((folder / "dvc.lock").read_text())["stages"]["tune"]
    write(folder, SKILLS | {"cnn2": 1.6}, params=changed_params(dropout=0.4))
    lock = json.loads((folder / "dvc.lock").read_text())
    lock["stages"]["tune"] = search
    (folder / "dvc.lock").write_text(json.dumps(lock))


def _without_records(folder: Path) -> None:
    shutil.rmtree(folder / "metrics")


VARIANTS: dict[str, Callable[[Path], None]] = {
    "changed": _changed,
    "comment": lambda folder: files.write_text(folder / "study/code.py", "# another comment\n"),
    "alike": lambda folder: write(folder, first_seed=10),
    "models": lambda folder: write(
        folder,
        {"cnn2": 1.0, "cnn3": 1.0, "best": 1.4},
        params=PARAMS | {"models": {"cnn2": PARAMS["models"]["cnn2"], "cnn3": {"family": "cnn"}}},
    ),
    "partly": _partly,
    "once": lambda folder: write(folder, repeats=1),
    "once_changed": lambda folder: write(folder, SKILLS | {"cnn2": 1.6}, repeats=1),
    "control": lambda folder: write(folder, SKILLS | {"control": 1.2}),
    "control_changed": lambda folder: write(folder, SKILLS | {"control": 1.6}),
    "best": lambda folder: write(folder, SKILLS | {"best": 1.6}),
    "otherwise": lambda folder: write(
        folder, SKILLS | {"best": 1.6}, params=PARAMS | {"seed": 2}, search={"block": {"dropout": 0.5}}
    ),
    "anew": lambda folder: write(
        folder, SKILLS | {"best": 1.6}, params=PARAMS | {"tune": {"trials": 9}}, search={"block": {"dropout": 0.5}}
    ),
    "searched": lambda folder: write(folder, search=searches(0.96)),
    "searched_alike": lambda folder: write(folder, params=PARAMS | {"seed": 2}, search=searches(0.9602)),
    "searched_better": lambda folder: write(
        folder, params=PARAMS | {"tune": {"trials": 9}}, search=searches(0.97) | {"block": {"dropout": 0.5}}
    ),
    "searched_otherwise": lambda folder: write(
        folder,
        SKILLS | {"best": 1.6},
        params=PARAMS | {"seed": 2, "tune": {"trials": 4, "searches": 3}},
        search=searches(0.9602) | {"block": {"dropout": 0.5}},
    ),
    "another_split": lambda folder: write(folder, images=90),
    "other_labels": lambda folder: write(folder, names=["a", "c", "b"]),
    "no_repeats": lambda folder: _older(folder, "metrics/test/cnn2.json", "repeats"),
    "no_mean_shortfall": lambda folder: _older(folder, "metrics/images/cnn2.csv", "mean_shortfall"),
    "no_records": _without_records,
    "hostile": lambda folder: write(folder, params=changed_params(dropout=HOSTILE)),
}
