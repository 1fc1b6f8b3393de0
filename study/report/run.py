"""A run as its files record it, in the working folder or in a commit: the one reader of what is compared.

Files that `report` alone needs are read by the same `Files`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from study.base import files
from study.base.runtime import UserError
from study.evaluation import image_scores
from study.evaluation.image_scores import ImageScores
from study.evaluation.seeds import Spread
from study.params.schema import BEST, TRAINED_BY_BEST
from study.report import moderation
from study.scoring.scores import Share
from study.search.outcome import winner

ROUNDING = 1e-5  # of scores that are computed from a table, whose numbers have six digits


class Repeat(TypedDict):
    """What a comparison needs of one run of a model."""

    roc_auc: Share


class Compared(TypedDict):
    """What a comparison needs of metrics/test/<model>.json: runs that record other metrics as well can be compared."""

    roc_auc: Share
    roc_auc_mean: Share
    accuracy: Share
    repeats: Annotated[list[Repeat], Field(min_length=1)]
    spread: Annotated[list[Spread], Field(max_length=1)]


class Search(TypedDict):
    """What a comparison needs of metrics/tune.json: the tuned model and its blocks. Older runs have no control."""

    model: str
    block: NotRequired[Any]
    control: NotRequired[Any]


@dataclass(frozen=True)
class Scored:
    """A model as it was scored on the test split; `collapsed` is how many of its repeats did: see `moderation`."""

    name: str
    test: Compared
    images: ImageScores
    collapsed: int

    @property
    def repeats(self) -> int:
        return len(self.test["repeats"])

    @property
    def spread(self) -> Spread | None:
        """Of the repeats; None if the model was trained once."""
        return self.test["spread"][0] if self.test["spread"] else None


@dataclass(frozen=True)
class Files:
    """The files of a run: `read` gives the bytes at a path, or None. Messages hold `title` and end with `remedy`.

    All methods raise UserError for a file that is missing, damaged or unfit.
    """

    read: Callable[[str], bytes | None]
    title: str = ""
    remedy: str = files.RESTORE

    def json(self, path: str, kind: type) -> Any:
        return files.parse_json(self.content(path), self.name(path), kind, self.remedy)

    def images(self, model: str, class_names: Sequence[str] | None = None) -> ImageScores:
        path = image_scores.path(model)
        rows = files.parse_csv(self.content(path), self.name(path), self.remedy)
        try:
            return image_scores.parse(rows, class_names)
        except ValueError as error:
            raise self.fault(path, f"{error}; {self.remedy}") from None

    def content(self, path: str) -> bytes:
        content = self.read(path)
        if content is None:
            raise self.fault(path, "is missing; `dvc repro` makes it")
        if left := files.left_by_git(content):
            raise self.fault(path, left)
        return content

    def name(self, path: str) -> str:
        """How messages call a file."""
        return f"{path} of {self.title}" if self.title else path

    def fault(self, path: str, what: str) -> UserError:
        return UserError(f"{self.name(path)}: {what}")


def working_folder() -> Files:
    """What it reads is remembered as what the stage was made from."""

    def read(path: str) -> bytes | None:
        files.remember(path)
        return Path(path).read_bytes() if Path(path).exists() else None

    return Files(read)


def scored(
    source: Files,
    names: Collection[str],
    search: Search,
    smallest_change: float,
    class_names: Sequence[str] | None = None,
    record: type = Compared,
) -> list[Scored]:
    """The models of params.yaml, given by their `names`, and those that `best` trained from the `search`.

    `record` is the type as which metrics/test/<model>.json is read; a repeat that is worse by less than
    `smallest_change` never counts as collapsed. Raises UserError as `Files` does, for a search of an unknown model, and
    if models were scored on different images.
    """
    if search["model"] not in names:
        raise source.fault(winner.FILE, f"{search['model']} is no model of params.yaml; {source.remedy}")
    tuned = TRAINED_BY_BEST if "control" in search else (BEST,)
    tests = {name: source.json(f"metrics/test/{name}.json", record) for name in (*names, *tuned)}
    areas = {name: [repeat["roc_auc"] for repeat in test["repeats"]] for name, test in tests.items()}
    collapsed = moderation.collapsed(areas, smallest_change)
    models = []
    for name, test in tests.items():
        models.append(Scored(name, test, source.images(name, class_names), collapsed[name]))
        if difference := models[-1].images.split_difference(models[0].images):
            both = f"{image_scores.path(name)} and {image_scores.path(models[0].name)}"
            raise source.fault(both, f"are scores of different test splits (other {difference}); run `dvc repro`")
    return models


def check(source: Files, models: Iterable[Scored]) -> None:
    """Raise UserError if a model's scores do not fit its image table, or its repeats and their spread each other."""
    for model in models:
        if fault := _contradiction(model):
            stage = "best" if model.name in TRAINED_BY_BEST else f"evaluate@{model.name}"
            remedy = f"run `dvc repro --force --single-item {stage}` there and commit what it writes"
            raise source.fault(f"metrics/test/{model.name}.json", f"{fault}; {remedy}")


def _contradiction(model: Scored) -> str | None:
    test, images, table = model.test, model.images, image_scores.path(model.name)
    areas = [repeat["roc_auc"] for repeat in test["repeats"]]
    for name, place, value in (
        ("roc_auc", table, _roc_auc(images.shortfall, images.labels)),
        ("roc_auc_mean", table, _roc_auc(images.mean_shortfall, images.labels)),
        ("accuracy", table, images.hits.mean()),
        ("roc_auc", "its first repeat", areas[0]),
        ("roc_auc_mean", "its repeats", np.mean(areas)),
    ):
        if abs(test[name] - value) > ROUNDING:
            return f"{name} is {test[name]:.6f}, but by {place} it is {value:.6f}"
    if len(test["spread"]) != (len(areas) > 1):
        return f"has {len(areas)} repeats and {len(test['spread'])} spreads"
    for spread in test["spread"]:
        if spread["degrees_of_freedom"] != len(areas) - 1:
            return f"spread has {spread['degrees_of_freedom']} degrees of freedom, but there are {len(areas)} repeats"
        if abs(spread["raw_variance"] ** 0.5 - np.std(areas, ddof=1)) > ROUNDING:
            return f"raw_variance is {spread['raw_variance']:.3g}, but by its repeats it is {np.var(areas, ddof=1):.3g}"
    return None


def _roc_auc(shortfall: np.ndarray, labels: np.ndarray) -> float:
    """The area from which images (N,) take these shortfalls: once as positives, once as negatives, for each class."""
    return 1 - sum(shortfall[labels == label].mean() for label in np.unique(labels)) / 2
