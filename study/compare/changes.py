"""What changed between two revisions, as records: params, code and the scores of each model; no words, no figures."""

from dataclasses import dataclass, replace

from study.base import files
from study.base.runtime import UserError
from study.compare import records
from study.compare.revisions import ChangedFile, Revision
from study.evaluation import image_scores
from study.model_files import repeats_file
from study.params.schema import TRAINED_BY_BEST
from study.report import differences, run
from study.report.differences import Pair
from study.report.run import Files, Scored, Search
from study.report.seed_noise import Training
from study.search.outcome import winner

TEST_SPLIT, SCORES = "data/test.npz", "metrics/test"
RECORDS = (records.PARAMS, records.LOCK, winner.FILE, SCORES, "metrics/images")
CODE = ("study", "stages", "dvc.yaml", "requirements.txt")
LATER = "older commits may lack what is compared: name a later one, or look at `dvc metrics diff`"

BETTER, WORSE, SAME, NEW, GONE, UNKNOWN = "better", "worse", "same bytes", "new", "gone", "unknown for want of repeats"
NOT_RUN = "not run yet"  # of what `best` trains: the search ran before a model got other params


@dataclass(frozen=True)
class ChangedParam:
    """A param by its dotted name; a value is None if there is none, else JSON."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ChangedModel:
    """A model of either revision. `pair`, after less before, is None if there are no two models to compare."""

    name: str
    before: Scored | None
    after: Scored | None
    pair: Pair | None
    waits: bool = False  # the search of one of the revisions has to run before there is such a model

    @property
    def verdict(self) -> str:
        """On whether the change would hold if the model was trained again."""
        if self.waits:
            return NOT_RUN
        if self.pair:
            return self.pair.verdict or UNKNOWN
        return SAME if self.before and self.after else NEW if self.after else GONE

    @property
    def settles(self) -> str:
        """What would give a verdict, if there is none."""
        return "`dvc repro`" if self.waits else getattr(self.pair, "settles", "")

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
    old, new = (records.leaves(records.params(recorded(revision, records.PARAMS))) for revision in (base, head))
    before, after = ({name: records.text(value) for name, value in leaves.items()} for leaves in (old, new))
    names = [name for name in {**new, **old} if name not in old or name not in new or old[name] != new[name]]
    return [ChangedParam(name, before.get(name), after.get(name)) for name in names]


@dataclass(frozen=True)
class Run:
    """What a revision records of a run, which does not contradict itself."""

    source: Files
    models: dict[str, Scored]
    hashes: dict[str, str]  # of all outputs, by their paths
    search_waits: bool


def changed_models(base: Revision, head: Revision) -> list[ChangedModel]:
    """The models of either revision, those of `head` first, with verdicts that are corrected for all of them."""
    before, after = (_run(revision) for revision in (base, head))
    _check_test_splits(before, after)
    old, new = before.models, after.models
    waiting = TRAINED_BY_BEST if before.search_waits or after.search_waits else ()
    same = {name for name in new if _are_same(name, before.hashes, after.hashes)}
    apart = [
        name
        for name in new
        if name in old and name not in waiting and not (name in same and new[name].test == old[name].test)
    ]
    pairs = dict(zip(apart, differences.pairs([(new[name], old[name]) for name in apart], same), strict=True))
    return [
        ChangedModel(name, old.get(name), new.get(name), pairs.get(name), name in waiting) for name in {**new, **old}
    ]


def _run(revision: Revision) -> Run:
    source = recorded(revision, *RECORDS)
    models, lock = _scored(source), records.stages(source)
    records.check(source, lock, models)
    run.check(source, models.values())
    return Run(source, models, records.made(lock), records.search_waits(source, lock))


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
    blocks = records.params(source).get("models")
    if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
        raise source.fault(records.PARAMS, "models holds no blocks")
    return {name: str(block.get("family")) for name, block in blocks.items()}


def _are_same(model: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether two runs have the same test split and the same bytes of a model and its repeats."""
    recorded = (TEST_SPLIT, f"models/{model}.keras")
    paths = (*recorded, repeats_file.path(model))
    return before.keys() >= {*recorded} and all(before.get(path) == after.get(path) for path in paths)


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
