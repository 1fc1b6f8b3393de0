"""What changed between two revisions, as records: params, code and the scores of each model; no words, no figures."""

import csv
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from study.base.runtime import UserError
from study.compare.revisions import ChangedFile, Revision
from study.evaluation import seeds
from study.evaluation.seeds import Spread
from study.model_files import repeats_file
from study.params import reader
from study.params.schema import BEST, TRAINED_BY_BEST
from study.report import differences
from study.report.differences import Answer, Training
from study.report.words import printable
from study.scoring import intervals
from study.scoring.scores import Share

PARAMS, LOCK, TUNED, TEST_SPLIT = "params.yaml", "dvc.lock", "metrics/tune.json", "data/test.npz"
RECORDS = (PARAMS, LOCK, TUNED, "metrics/test", "metrics/images")
CODE = ("study", "stages", "dvc.yaml", "requirements.txt")
COLUMNS = ("image", "actual", "predicted", "shortfall", "mean_shortfall")
LockLoader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # hashes are text, whatever digits they have

WORSE, SAME, NEW, GONE, UNKNOWN = "worse", "same bytes", "new", "gone", "unknown for want of repeats"


class RecordedRepeat(TypedDict):
    """What a comparison needs of one training."""

    roc_auc: Share


class Recorded(TypedDict):
    """What a comparison needs of metrics/test/<model>.json."""

    roc_auc: Share
    accuracy: Share
    repeats: Annotated[list[RecordedRepeat], Field(min_length=1)]
    spread: Annotated[list[Spread], Field(max_length=1)]


@dataclass(frozen=True)
class Scored:
    """A model as a revision records it. Arrays (N,) have a value per test image."""

    name: str
    record: Recorded
    image: np.ndarray  # str
    actual: np.ndarray  # str
    hits: np.ndarray  # bool
    shortfall: np.ndarray  # float64, of the shipped model
    mean_shortfall: np.ndarray  # float64, over its repeats
    training: Training
    hashes: dict[str, str]  # of the test split and of the files with its weights, by path

    @property
    def mean_roc_auc(self) -> float:
        return float(np.mean([repeat["roc_auc"] for repeat in self.record["repeats"]]))


@dataclass(frozen=True)
class ChangedParam:
    """A param by its dotted name; a value is None where there is none, else in JSON."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Row:
    """A model in both revisions. Scores are those of the shipped models; None where there are none to compare.

    `shipped`: do these two models differ on images like these? `retrained`: would the change hold if both were trained
    again? The p values beside them are corrected, each for all rows of the table.
    """

    model: str
    verdict: str
    before: Recorded | None
    after: Recorded | None
    shipped: Answer | None = None
    shipped_adjusted_p: float | None = None
    retrained: Answer | None = None
    retrained_adjusted_p: float | None = None
    accuracy: Answer | None = None  # of the shipped models
    trainings: tuple[Training, ...] = ()  # before and after

    @property
    def change(self) -> float | None:
        return self.after["roc_auc"] - self.before["roc_auc"] if self.before and self.after else None

    @property
    def accuracy_change(self) -> float | None:
        return self.after["accuracy"] - self.before["accuracy"] if self.before and self.after else None


@dataclass(frozen=True)
class Comparison:
    """All that changed from `base` to `head`."""

    base: Revision
    head: Revision
    params: list[ChangedParam]
    code: list[ChangedFile]
    rows: list[Row]

    @property
    def changed(self) -> bool:
        return bool(self.params or self.code or any(row.verdict != SAME for row in self.rows))

    @property
    def worse(self) -> list[str]:
        return [row.model for row in self.rows if row.verdict == WORSE]


class NoRecordsError(UserError):
    """A revision has no scores at all."""


@dataclass(frozen=True)
class Records:
    """What a revision records, by path."""

    revision: Revision
    contents: dict[str, bytes]

    def text(self, path: str) -> str:
        if path not in self.contents:
            remedy = "work in the project's folder" if path == PARAMS else "run `dvc repro` there"
            raise self.fault(path, f"is missing; {remedy}")
        try:
            return self.contents[path].decode()
        except UnicodeDecodeError:
            raise self.fault(path, "is not UTF-8 text; restore it") from None

    def check_scored(self) -> None:
        """Raise NoRecordsError where there is no score."""
        if not any(path.startswith("metrics/test/") for path in self.contents):
            raise NoRecordsError(
                f"{printable(self.revision.title)}: has no metrics/test/*.json; name a commit that records a run, and "
                "work in the project's folder"
            )

    def fault(self, path: str, what: str) -> UserError:
        return UserError(printable(f"{path} of {self.revision.title}: {what}"))

    def older(self, path: str, lacking: str) -> UserError:
        return self.fault(
            path,
            f"lacks {lacking}, as in commits from before repeats were recorded; compare two later commits, or look at "
            "`dvc metrics diff`",
        )


def records(revision: Revision) -> Records:
    """What a comparison needs of a revision."""
    return Records(revision, revision.read(*RECORDS))


def compare(base: Revision, head: Revision) -> Comparison:
    """Raises UserError where either lacks records of today's form, or where the test splits are not the same."""
    before, after = records(base), records(head)
    for files in (before, after):
        files.check_scored()
    return replace(_unscored(before, after), rows=rows(before, after))


def unscored(base: Revision, head: Revision) -> Comparison:
    """Params and code alone, for revisions whose scores cannot be compared."""
    return _unscored(records(base), records(head))


def _unscored(before: Records, after: Records) -> Comparison:
    code = after.revision.changed_since(before.revision, *CODE)
    return Comparison(before.revision, after.revision, changed_params(before, after), code, [])


def _params(files: Records) -> dict:
    try:
        content = reader.read(files.text(PARAMS))
    except reader.YamlError as error:
        raise files.fault(PARAMS, f"is not valid YAML ({error})") from None
    if not isinstance(content, dict):
        raise files.fault(PARAMS, "holds no mapping of sections")
    return content


def changed_params(before: Records, after: Records) -> list[ChangedParam]:
    """The params with other values, in the order of the revision that has them."""
    old, new = (_leaves(_params(files)) for files in (before, after))
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return [ChangedParam(name, old.get(name), new.get(name)) for name in names]


def _leaves(value: Any, name: str = "") -> dict[str, str]:
    """Values that are no mapping, in JSON, by their dotted names."""
    if not isinstance(value, dict) or (name and not value):
        return {name: json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)}
    leaves: dict[str, str] = {}
    for key, below in value.items():
        leaves |= _leaves(below, f"{name}.{key}" if name else str(key))
    return leaves


def rows(before: Records, after: Records) -> list[Row]:
    """A row per model of either revision, those of `after` first."""
    old, new = (_scored(files) for files in (before, after))
    _check_test_splits(before, old, after, new)
    same = {name for name in old.keys() & new.keys() if old[name].hashes and old[name].hashes == new[name].hashes}
    return _judged([_row(old.get(name), new.get(name), same) for name in {**new, **old}])


def families(files: Records) -> dict[str, str]:
    """The models of params.yaml with their families, by name."""
    blocks = _params(files).get("models")
    if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
        raise files.fault(PARAMS, "models holds no blocks")
    return {name: str(block.get("family")) for name, block in blocks.items()}


def _scored(files: Records) -> dict[str, Scored]:
    """The models of params.yaml, the tuned winner and its control, by name."""
    models = families(files)
    search = _record(files, TUNED, _Search)
    base = search["model"]
    tuned = TRAINED_BY_BEST if "control" in search else (BEST,)
    models |= dict.fromkeys(tuned, models.get(base, ""))
    records = {name: _record(files, f"metrics/test/{name}.json", Recorded) for name in models}
    spreads = {name: record["spread"][0] if record["spread"] else None for name, record in records.items()}
    hashes = _hashes(files)
    return {
        name: Scored(
            name,
            record,
            *_images(files, f"metrics/images/{name}.csv"),
            Training(len(record["repeats"]), seeds.noise(name, models, spreads, base if name in tuned else None)),
            hashes.get(f"models/{name}.keras", {}),
        )
        for name, record in records.items()
    }


class _Search(TypedDict):
    """The model that was tuned; commits from before there was a control lack its block."""

    model: str
    control: NotRequired[dict]


def _record(files: Records, path: str, kind: type) -> Any:
    try:
        return TypeAdapter(kind).validate_json(files.text(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        if fault["type"] == "missing":
            raise files.older(path, where) from None
        raise files.fault(path, f"{where} {fault['msg']}") from None


def _images(files: Records, path: str) -> tuple[np.ndarray, ...]:
    """image, actual, hits, shortfall and mean_shortfall of each test image."""
    try:
        header, *table = csv.reader(io.StringIO(files.text(path), newline=""), strict=True)
        columns = dict(zip(header, zip(*table, strict=True), strict=True))
    except (ValueError, csv.Error):
        raise files.fault(path, "is not a whole table") from None
    if missing := [name for name in COLUMNS if name not in columns]:
        raise files.older(path, missing[0])
    image, actual, predicted = (np.array(columns[name]) for name in COLUMNS[:3])
    try:
        shortfall, mean = (np.array(columns[name], dtype=float) for name in COLUMNS[3:])
    except ValueError as error:
        raise files.fault(path, f"holds what is no number ({error})") from None
    if not (np.isfinite(shortfall).all() and np.isfinite(mean).all()):
        raise files.fault(path, "holds numbers that are not finite")
    if np.unique(actual, return_counts=True)[1].min() < 2:
        raise files.fault(path, "has a class with one image; a comparison needs two of each")
    return image, actual, predicted == actual, shortfall, mean


def _hashes(files: Records) -> dict[str, dict[str, str]]:
    """By the file of a model: the hashes of the test split, of that file and of its repeats, by their paths."""
    if LOCK not in files.contents:
        return {}
    try:
        stages = yaml.load(files.text(LOCK), Loader=LockLoader)["stages"].values()
        outs = [{out["path"]: out["md5"] for out in stage.get("outs", []) if "md5" in out} for stage in stages]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise files.fault(LOCK, "is no record of DVC's") from None
    split = {path: md5 for written in outs for path, md5 in written.items() if path == TEST_SPLIT}
    return {
        model: split | {path: written[path] for path in (model, repeats_file.path(Path(model).stem)) if path in written}
        for written in outs
        for model in written
        if split and model.startswith("models/") and model.endswith(".keras")
    }


def _check_test_splits(before: Records, old: dict[str, Scored], after: Records, new: dict[str, Scored]) -> None:
    """Raise UserError unless all models were scored on the same images with the same labels, in one order."""
    first = next(iter(old.values()))
    for files, models in ((before, old), (after, new)):
        for name, model in models.items():
            if not (np.array_equal(model.image, first.image) and np.array_equal(model.actual, first.actual)):
                raise files.fault(
                    f"metrics/images/{name}.csv",
                    f"is of another test split ({len(model.image)} images) than metrics/images/{first.name}.csv of "
                    f"{before.revision.title} ({len(first.image)} images); scores on different images "
                    "cannot be compared",
                )


def _row(old: Scored | None, new: Scored | None, same: set[str]) -> Row:
    """A row without its verdict, where that takes the whole table; `same` are the models of the same bytes."""
    if old is None or new is None:
        model, verdict = (old, GONE) if old else (new, NEW)
        return Row(model.name, verdict, old and old.record, new and new.record)
    records = (old.record, new.record)
    if new.name in same and old.record == new.record:
        return Row(new.name, SAME, *records)
    measured = [name for training in (old.training, new.training) if training.noise for name in training.noise.measured]
    labels = np.unique(new.actual, return_inverse=True)[1]
    hits = new.hits.astype(float) - old.hits
    return Row(
        new.name,
        "",
        *records,
        shipped=differences.shipped(
            new.record["roc_auc"] - old.record["roc_auc"], old.shortfall - new.shortfall, labels
        ),
        retrained=differences.retrained(
            new.mean_roc_auc - old.mean_roc_auc,
            old.mean_shortfall - new.mean_shortfall,
            labels,
            new.training,
            old.training,
            same_trainings=same.issuperset(measured),
        ),
        accuracy=differences.shipped(
            new.record["accuracy"] - old.record["accuracy"], intervals.of_mean(hits, labels), labels
        ),
        trainings=(old.training, new.training),
    )


def _judged(table: list[Row]) -> list[Row]:
    """The rows with their verdicts: by the second question, corrected for the number of rows that ask it."""
    shipped, retrained = (
        dict(zip(answers, differences.holm([answer.p for answer in answers.values()]), strict=True))
        for answers in (
            {row.model: row.shipped for row in table if row.shipped},
            {row.model: row.retrained for row in table if row.retrained},
        )
    )
    judged = []
    for row in table:
        p = retrained.get(row.model)
        verdict = row.verdict or (UNKNOWN if p is None else differences.verdict(row.retrained, p))
        judged.append(replace(row, verdict=verdict, shipped_adjusted_p=shipped.get(row.model), retrained_adjusted_p=p))
    return judged
