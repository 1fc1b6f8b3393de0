"""What changed between two revisions, as records: params, code and the scores of each model; no words, no figures."""

import json
from dataclasses import dataclass, replace
from typing import Any

import yaml

from study.base import files
from study.base.runtime import UserError
from study.compare.revisions import ChangedFile, Revision
from study.evaluation import image_scores
from study.model_files import repeats_file
from study.params import reader
from study.report import differences, run
from study.report.differences import Pair
from study.report.run import Files, Scored, Search
from study.report.seed_noise import Training
from study.search.outcome import winner

PARAMS, LOCK, TEST_SPLIT, SCORES = "params.yaml", "dvc.lock", "data/test.npz", "metrics/test"
RECORDS = (PARAMS, LOCK, winner.FILE, SCORES, "metrics/images")
CODE = ("study", "stages", "dvc.yaml", "requirements.txt")
LATER = "older commits may lack what is compared: name a later one, or look at `dvc metrics diff`"
LockLoader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # hashes are text, whatever digits they have

WORSE, SAME, NEW, GONE, UNKNOWN = "worse", "same bytes", "new", "gone", "unknown for want of repeats"


@dataclass(frozen=True)
class ChangedParam:
    """A param by its dotted name; a value is None if there is none, else JSON."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ChangedModel:
    """A model of either revision. `pair`, after less before, is None if the model is new, gone or of the same bytes."""

    name: str
    before: Scored | None
    after: Scored | None
    pair: Pair | None

    @property
    def verdict(self) -> str:
        """By the second question."""
        if self.pair:
            return self.pair.verdict or UNKNOWN
        return SAME if self.before and self.after else NEW if self.after else GONE

    def change(self, score: str) -> float | None:
        """Of a score of the shipped model; None if there are not two."""
        return self.after.test[score] - self.before.test[score] if self.before and self.after else None

    @property
    def trainings(self) -> list[Training]:
        """Before and after, if they are compared."""
        return [self.pair.other.training, self.pair.one.training] if self.pair else []


@dataclass(frozen=True)
class Changes:
    """All that changed from `base` to `head`."""

    base: Revision
    head: Revision
    params: list[ChangedParam]
    code: list[ChangedFile]
    models: list[ChangedModel]

    @property
    def changed(self) -> bool:
        return bool(self.params or self.code or any(model.verdict != SAME for model in self.models))

    @property
    def worse(self) -> list[str]:
        return [model.name for model in self.models if model.verdict == WORSE]


class NoRecordsError(UserError):
    """A revision has no scores at all."""


def between(base: Revision, head: Revision) -> Changes:
    """Raises UserError if either lacks records of today's form, or if the test splits are not the same."""
    models = changed_models(base, head)
    return replace(unscored(base, head), models=models)


def unscored(base: Revision, head: Revision) -> Changes:
    """Params and code alone, for revisions whose scores cannot be compared."""
    return Changes(base, head, changed_params(base, head), head.changed_since(base, *CODE), [])


def changed_params(base: Revision, head: Revision) -> list[ChangedParam]:
    """The params with other values, in the order of the revision that has them."""
    old, new = (_leaves(_params(recorded(revision, PARAMS))) for revision in (base, head))
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return [ChangedParam(name, old.get(name), new.get(name)) for name in names]


def _leaves(value: Any, name: str = "") -> dict[str, str]:
    """Values that are no mapping, in JSON, by their dotted names."""
    if not isinstance(value, dict) or (name and not value):
        return {name: json.dumps(value, ensure_ascii=False)}
    leaves: dict[str, str] = {}
    for key, below in value.items():
        leaves |= _leaves(below, f"{name}.{key}" if name else str(key))
    return leaves


def changed_models(base: Revision, head: Revision) -> list[ChangedModel]:
    """The models of either revision, those of `head` first, with verdicts that are corrected for all of them."""
    before, after = (recorded(revision, *RECORDS) for revision in (base, head))
    old, new = (_scored(source) for source in (before, after))
    _check_test_splits(before, old, after, new)
    hashes = [_hashes(source) for source in (before, after)]
    same = {name for name in new if _are_same(name, *hashes)}
    apart = [name for name in new if name in old and not (name in same and new[name].test == old[name].test)]
    pairs = dict(zip(apart, differences.pairs([(new[name], old[name]) for name in apart], same), strict=True))
    return [ChangedModel(name, old.get(name), new.get(name), pairs.get(name)) for name in {**new, **old}]


def recorded(revision: Revision, *places: str) -> Files:
    """The files that a revision has in these places."""
    remedy = LATER if revision.commit else files.RESTORE
    return Files(revision.read(*places).get, revision.title, remedy)


def _scored(source: Files) -> dict[str, Scored]:
    """The models of params.yaml, the tuned winner and its control, by name."""
    models = families(source)
    if not any(source.read(f"metrics/test/{name}.json") for name in models):
        raise NoRecordsError(f"{source.title}: has no metrics/test/*.json; name a commit that records a run")
    return {model.name: model for model in run.scored(source, models, source.json(winner.FILE, Search))}


def families(source: Files) -> dict[str, str]:
    """The models of params.yaml with their families, by name."""
    blocks = _params(source).get("models")
    if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
        raise source.fault(PARAMS, "models holds no blocks")
    return {name: str(block.get("family")) for name, block in blocks.items()}


def _params(source: Files) -> dict:
    if source.read(PARAMS) is None:
        raise source.fault(PARAMS, "is missing; work in the project's folder")
    try:
        content = reader.read(source.content(PARAMS).decode())
    except ValueError as error:
        raise source.fault(PARAMS, f"is not valid YAML ({error})") from None
    if not isinstance(content, dict):
        raise source.fault(PARAMS, "holds no mapping of sections")
    return content


def _hashes(source: Files) -> dict[str, str]:
    """The hashes of all outputs by their paths; none without dvc.lock."""
    if source.read(LOCK) is None:
        return {}
    try:
        stages = yaml.load(source.content(LOCK), Loader=LockLoader)["stages"].values()
        return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", []) if "md5" in out}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise source.fault(LOCK, "is no record of DVC's") from None


def _are_same(model: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether two runs have the same test split and the same bytes of a model and its repeats."""
    recorded = (TEST_SPLIT, f"models/{model}.keras")
    paths = (*recorded, repeats_file.path(model))
    return before.keys() >= {*recorded} and all(before.get(path) == after.get(path) for path in paths)


def _check_test_splits(before: Files, old: dict[str, Scored], after: Files, new: dict[str, Scored]) -> None:
    """Raise UserError unless both runs were scored on the same images with the same labels, in one order."""
    one, other = next(iter(old.values())), next(iter(new.values()))
    if not one.images.same_split(other.images):
        raise after.fault(
            image_scores.path(other.name),
            f"is of another test split ({len(other.images.labels)} images) than "
            f"{before.name(image_scores.path(one.name))} ({len(one.images.labels)} images); scores on different images "
            "cannot be compared",
        )
