"""What changed between two revisions, as records: params, code and the scores of each model; no words, no figures."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from study.base import files
from study.base.runtime import UserError
from study.compare import records
from study.compare.revisions import ChangedFile, Revision
from study.evaluation import image_scores
from study.model_files import repeats_file
from study.params.schema import BEST, TRAINED_BY_BEST
from study.report import differences, run
from study.report.differences import Pair
from study.report.run import Files, Images, Scored, Search
from study.search.outcome import winner

PREPARED, TEST_SPLIT, SCORES = "data/prepared.npz", "data/test.npz", "metrics/test"
RECORDS = (records.PARAMS, records.LOCK, winner.FILE, SCORES, "metrics/images")
CODE = ("study", "stages", "dvc.yaml", "requirements.txt")
LATER = "older commits may lack what is compared: name a later one, or look at `dvc metrics diff`"

SMALLEST_CHANGE = 0.002  # of runs before there was `report.smallest_change`

BETTER, WORSE, SAME, NEW, GONE, UNKNOWN = "better", "worse", "same bytes", "new", "gone", "unknown"
THE_SEARCH = "the search"
NO_VERDICT = {
    "waits": ("not run yet", "`dvc repro` runs it"),
    "otherwise": ("the search chose otherwise", "by its seed or by rounding"),
    "once": (UNKNOWN, "`tune.searches` is 1 in one of the two"),
    "images": (UNKNOWN, "of other validation images"),
}


@dataclass(frozen=True)
class ChangedParam:
    """A param by its dotted name; a value is None if there is none, else JSON."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ChangedModel:
    """A model of either revision, or the search. `pair`, after less before, is None if there are no two to compare.

    `search` says what the search has to do with a change of what `best` trains, or of itself. There is no verdict if it
    `waits` to run in one of the revisions, if it chose another block `otherwise` without a reason in data, params or
    code, if it ran `once`, or of other validation `images`. If it chose `anew`, the verdict is on another block.
    """

    name: str
    before: Scored | None
    after: Scored | None
    pair: Pair | None
    search: Literal["", "waits", "otherwise", "anew", "once", "images"] = ""

    @property
    def verdict(self) -> str:
        """On whether the change would hold if the model was trained again."""
        if self.search in NO_VERDICT:
            return NO_VERDICT[self.search][0]
        if self.pair:
            return self.pair.verdict
        return SAME if self.before and self.after else NEW if self.after else GONE

    @property
    def note(self) -> str:
        """Why there is no verdict, what would give one, or of what it is."""
        if self.search in NO_VERDICT:
            return NO_VERDICT[self.search][1]
        reason = self.pair.reason if self.pair else ""
        return "; ".join(filter(None, [reason, "another block" if self.search else ""]))


@dataclass(frozen=True)
class Changes:
    """All that changed from `base` to `head`. The last of the models is the search, if it was run several times."""

    base: Revision
    head: Revision
    params: list[ChangedParam]
    code: list[ChangedFile]
    models: list[ChangedModel]


def between(base: Revision, head: Revision) -> Changes:
    """Raises UserError if either lacks records of today's form, or if the test splits are not the same."""
    smallest_change = _smallest_change(recorded(head, records.PARAMS))
    before, after = (_run(revision, smallest_change) for revision in (base, head))
    _check_test_splits(before, after)
    models = changed_models(before, after, smallest_change)
    return replace(unscored(base, head), models=models + changed_search(before, after, smallest_change))


def unscored(base: Revision, head: Revision) -> Changes:
    """Params and code alone, for revisions whose scores cannot be compared."""
    return Changes(base, head, changed_params(base, head), head.changed_since(base, *CODE), [])


def changed_params(base: Revision, head: Revision) -> list[ChangedParam]:
    """The params with other values, in the order of the revision that has them."""
    old, new = (records.leaves(records.params(recorded(revision, records.PARAMS))) for revision in (base, head))
    before, after = ({name: records.text(value) for name, value in leaves.items()} for leaves in (old, new))
    names = [name for name in {**new, **old} if name not in old or name not in new or old[name] != new[name]]
    return [ChangedParam(name, before.get(name), after.get(name)) for name in names]


@dataclass(frozen=True)
class Run:
    """What a revision records of a run, which does not contradict itself."""

    source: Files
    models: dict[str, Scored]
    search: Search
    lock: dict[str, records.Stage]


def changed_models(before: Run, after: Run, smallest_change: float) -> list[ChangedModel]:
    """The models of either run, those of `after` first, with verdicts that are corrected for all of them."""
    old, new = before.models, after.models
    same = {name for name in new if _are_same(name, before, after)}
    search = {name: _of_search(name, before, after, name in same) for name in {**new, **old}}
    apart = [name for name in new if name in old and name not in same and search[name] in ("", "anew")]
    others = [*new.values(), *(model for name, model in old.items() if name not in same)]
    compared = differences.pairs([(new[name], old[name]) for name in apart], smallest_change, others)
    pairs = dict(zip(apart, compared, strict=True))
    return [ChangedModel(name, old.get(name), new.get(name), pairs.get(name), each) for name, each in search.items()]


def changed_search(before: Run, after: Run, smallest_change: float) -> list[ChangedModel]:
    """The search, if its record changed and either run has several of it: by its winners on validation."""
    old, new = searches(before.search), searches(after.search)
    if before.search == after.search or not (old or new):
        return []
    fault = ""
    if _waits(before, after):
        fault = "waits"
    elif not (old and new):
        fault = "once"
    elif _validation_images(old, before) != _validation_images(new, after):
        fault = "images"
    if fault:
        return [ChangedModel(THE_SEARCH, old, new, None, fault)]
    (pair,) = differences.pairs([(new, old)], smallest_change)
    reason = pair.reason.replace("repeats", "searches").replace("test", "validation")
    return [ChangedModel(THE_SEARCH, old, new, replace(pair, shipped=None, reason=reason))]


def _waits(*runs: Run) -> bool:
    return any(records.search_waits(each.source, each.lock) for each in runs)


def _validation_images(scored: Scored, run: Run) -> tuple[str | None, list[int]]:
    return records.made(run.lock).get(PREPARED), scored.images.labels.tolist()


def searches(search: Search) -> Scored | None:
    """The winners of several searches as the repeats of one model, scored on validation; None if there was one."""
    if "searches" not in search:
        return None
    repeats = [{"roc_auc": each["roc_auc"]} for each in search["searches"].values()]
    areas = [each["roc_auc"] for each in repeats]
    spread = {"raw_variance": float(np.var(areas, ddof=1)), "sampling_variance": search["sampling_variance"]}
    spread["degrees_of_freedom"] = len(areas) - 1
    scores = {"roc_auc": areas[0], "roc_auc_mean": float(np.mean(areas)), "repeats": repeats, "spread": [spread]}
    labels, shortfall = (np.array(search["images"][key]) for key in ("labels", "shortfalls"))
    return Scored(THE_SEARCH, scores, Images(labels, shortfall, shortfall), collapsed=0)


def _run(revision: Revision, smallest_change: float) -> Run:
    source = recorded(revision, *RECORDS)
    models, lock = _scored(source, smallest_change), records.stages(source)
    records.check(source, lock, models)
    run.check(source, models.values())
    return Run(source, models, source.json(winner.FILE, Search), lock)


def _smallest_change(source: Files) -> float:
    section = records.params(source).get("report", {})
    value = section.get("smallest_change", SMALLEST_CHANGE) if isinstance(section, dict) else None
    if not isinstance(value, float) or not 0 < value < 1:
        raise source.fault(records.PARAMS, "report.smallest_change is no number above 0 and below 1")
    return value


def _of_search(model: str, before: Run, after: Run, same: bool) -> str:
    """What the search has to do with a change of this model: see `ChangedModel`."""
    if model not in TRAINED_BY_BEST:
        return ""
    if _waits(before, after):
        return "waits"
    in_both = model in before.models and model in after.models
    if same or not in_both or _block(model, before) == _block(model, after):
        return ""
    return "otherwise" if records.same_search(before.lock, after.lock) else "anew"


def _block(model: str, of: Run) -> Any:
    """The params that the search gave this model, but for its repeats, and the name of the model that it tuned."""
    block = of.search.get("block" if model == BEST else "control")
    return of.search["model"], {**block, "repeats": None} if isinstance(block, dict) else block


def recorded(revision: Revision, *places: str) -> Files:
    """The files that a revision has in these places."""
    remedy = LATER if revision.commit else files.RESTORE
    return Files(revision.read(*places).get, revision.title, remedy)


def _scored(source: Files, smallest_change: float) -> dict[str, Scored]:
    """The models of params.yaml, the tuned winner and its control, by name."""
    names = model_names(source)
    if not any(source.read(f"metrics/test/{name}.json") for name in names):
        raise UserError(f"{source.title}: has no metrics/test/*.json; name a commit that records a run")
    search = source.json(winner.FILE, Search)
    return {model.name: model for model in run.scored(source, names, search, smallest_change)}


def model_names(source: Files) -> list[str]:
    """The models of params.yaml."""
    blocks = records.params(source).get("models")
    if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
        raise source.fault(records.PARAMS, "models holds no blocks")
    return list(blocks)


def _are_same(model: str, before: Run, after: Run) -> bool:
    """Whether two runs have the same scores, test split and bytes of a model and its repeats."""
    old, new = records.made(before.lock), records.made(after.lock)
    recorded = (TEST_SPLIT, f"models/{model}.keras")
    paths = (*recorded, repeats_file.path(model))
    listed = old.keys() >= {*recorded} and all(old.get(path) == new.get(path) for path in paths)
    return listed and model in before.models and before.models[model].test == after.models[model].test


def _check_test_splits(before: Run, after: Run) -> None:
    """Raise UserError unless both runs were scored on the same images with the same labels, in one order."""
    one, other = next(iter(before.models.values())), next(iter(after.models.values()))
    if difference := other.images.split_difference(one.images):
        base = before.source.name(image_scores.path(one.name))
        counts = len(other.images.labels), len(one.images.labels)
        what = {
            "images": f"is of another test split ({counts[0]} images) than {base} ({counts[1]} images)",
            "order": f"has the test images in another order than {base}",
            "names": f"gives the classes other names than {base}",
            "labels": f"gives the test images other labels than {base}",
        }[difference]
        remedy = "compare runs whose `prepare` wrote the same data/test.npz"
        raise after.source.fault(image_scores.path(other.name), f"{what}; {remedy}")
