"""What a revision records of how its scores were made: params.yaml, and dvc.lock, which DVC writes after each stage."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from study.evaluation import image_scores
from study.params import reader
from study.params.schema import TRAINED_BY_BEST
from study.report.run import Files
from study.report.words import LONGEST_VALUE, printable
from study.search.outcome import winner

PARAMS, LOCK = "params.yaml", "dvc.lock"
BEFORE_TRAINING, SEARCH = ("download", "prepare"), ("tune", "best")
NOT_SET = "not set"
RERUN = "run `dvc repro` there and commit what it writes"


class File(TypedDict):
    path: str
    md5: NotRequired[str]


class Stage(TypedDict):
    """What a stage was run with, and what it made."""

    params: NotRequired[dict[str, dict[str, Any]]]
    deps: NotRequired[list[File]]
    outs: NotRequired[list[File]]


def params(source: Files) -> dict:
    """The content of params.yaml. Raises UserError if it is missing or no mapping."""
    if source.read(PARAMS) is None:
        raise source.fault(PARAMS, "is missing; work in the project's folder")
    try:
        content = reader.read(source.content(PARAMS).decode())
    except ValueError as error:
        raise source.fault(PARAMS, f"is not valid YAML ({error})") from None
    if not isinstance(content, dict):
        raise source.fault(PARAMS, "holds no mapping of sections")
    return content


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Values that are no mapping, by their dotted names."""
    if not isinstance(value, dict) or (name and not value):
        return {name: value}
    below: dict[str, Any] = {}
    for key, each in value.items():
        below |= leaves(each, f"{name}.{key}" if name else str(key))
    return below


def text(value: Any) -> str:
    """A value of params.yaml in one line."""
    return json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)


def stages(source: Files) -> dict[str, Stage]:
    """The stages of dvc.lock by name; none without dvc.lock."""
    if source.read(LOCK) is None:
        return {}
    try:
        content = reader.read(source.content(LOCK).decode())
        return TypeAdapter(dict[str, Stage]).validate_python(content["stages"])
    except (ValueError, KeyError, TypeError, ValidationError):
        raise source.fault(LOCK, "is no record of DVC's") from None


def hashes(files: Iterable[File]) -> dict[str, str]:
    """The MD5 of files by their paths."""
    return {file["path"]: file["md5"] for file in files if "md5" in file}


def made(lock: dict[str, Stage]) -> dict[str, str]:
    """The MD5 of all outputs by their paths."""
    return hashes(out for stage in lock.values() for out in stage.get("outs", []))


def check(source: Files, lock: dict[str, Stage], models: Collection[str]) -> None:
    """Raise UserError if the stages of dvc.lock ran with other params, or left other scores, than the revision has.

    Without dvc.lock there is nothing to check. A search that ran before a model got other params is no fault: see
    `search_waits`.
    """
    if not lock:
        return
    own = [f"{stage}@{model}" for model in models if model not in TRAINED_BY_BEST for stage in ("train", "evaluate")]
    if missing := [stage for stage in (*own, *SEARCH) if stage not in lock]:
        raise source.fault(LOCK, f"has no run of {missing[0]}; {RERUN}")
    current = leaves(params(source))
    for stage in (*BEFORE_TRAINING, *own, *SEARCH):
        for name, now, then in _changed(lock.get(stage, {}), current):
            if stage not in SEARCH or not name.startswith("models."):
                what = f"{_shown(name)} is {_shown(now)}, but was {_shown(then)} when {stage} ran"
                raise source.fault(PARAMS, f"{what}; {RERUN}")
    listed = made(lock)
    for path in [place for model in models for place in (f"metrics/test/{model}.json", image_scores.path(model))]:
        if _md5(source, path) != listed.get(path):
            raise source.fault(path, f"is not the file that {LOCK} lists; {RERUN}")
    if _md5(source, winner.FILE) not in (listed.get(winner.FILE), _winner_of_best(lock)):
        raise source.fault(winner.FILE, f"is not the file that {LOCK} lists; {RERUN}")


def search_waits(source: Files, lock: dict[str, Stage]) -> bool:
    """Whether a model got other params after `tune` ran, or the search another winner after `best` ran."""
    changed = _changed(lock.get("tune", {}), leaves(params(source)))
    return any(changed) or _winner_of_best(lock) not in (None, _md5(source, winner.FILE))


def same_search(one: dict[str, Stage], other: dict[str, Stage]) -> bool:
    """Whether `tune` ran with the same data, code and params, whatever the seed, the scores of models and how often."""

    def ran_with(lock: dict[str, Stage]) -> tuple[dict, dict]:
        stage = lock.get("tune", {})
        files = hashes(stage.get("deps", []))
        values = leaves(stage.get("params", {}).get(PARAMS, {}))
        return (
            {path: md5 for path, md5 in files.items() if not path.startswith("metrics/")},
            {name: value for name, value in values.items() if name not in ("seed", "tune.searches")},
        )

    return ran_with(one) == ran_with(other)


def _changed(stage: Stage, current: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The params that have other values than the stage ran with: their names, and their values now and then."""
    for section, value in stage.get("params", {}).get(PARAMS, {}).items():
        ran = leaves(value, section)
        now = {name: each for name, each in current.items() if name == section or name.startswith(f"{section}.")}
        for name in {**ran, **now}:
            if name not in ran or name not in now or ran[name] != now[name]:
                yield name, now.get(name, NOT_SET), ran.get(name, NOT_SET)


def _winner_of_best(lock: dict[str, Stage]) -> str | None:
    """The MD5 of the record of the search from which `best` trained."""
    return hashes(lock.get("best", {}).get("deps", [])).get(winner.FILE)


def _md5(source: Files, path: str) -> str:
    return hashlib.md5(source.content(path), usedforsecurity=False).hexdigest()


def _shown(value: Any) -> str:
    """Of a param, its name or its value, in a message."""
    return printable(value if isinstance(value, str) else text(value))[:LONGEST_VALUE]
