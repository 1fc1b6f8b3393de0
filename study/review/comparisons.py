"""What the recorded scores and predictions support, as records: no words, no figures."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.metrics import classification_report
from typing_extensions import TypedDict

from study import files
from study.params.schema import BEST, Model
from study.runtime import UserError
from study.scoring import differences, image_scores
from study.scoring.final_scores import FinalScores
from study.scoring.image_scores import ImageScores
from study.scoring.scores import ValidationScores
from study.search import winner

RATES = np.linspace(0, 1, 101)  # false positive rates at which ROC curves are written
ROUNDING = 1e-6  # of the images' rates, which are read from a table


class Epoch(TypedDict):
    """A row of a learning curve; validation's scores are of single images."""

    epoch: int
    accuracy: float
    loss: float
    val_loss: float
    val_accuracy: float
    val_roc_auc: float
    learning_rate: float


class Validation(ValidationScores):
    """metrics/validation/<model>.json."""

    history: Annotated[list[Epoch], Field(min_length=1)]


@dataclass(frozen=True)
class Ranked:
    """A model and its scores."""

    name: str
    test: FinalScores
    validation: Validation
    images: ImageScores


@dataclass(frozen=True)
class Difference:
    """ROC-AUC of one model less that of another on the same test images, with its paired 95 % interval."""

    one: str
    other: str
    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ClassScores:
    """Test scores of one class, or their average over the classes."""

    name: str
    roc_auc: float
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Comparison:
    """The models by test ROC-AUC, the first against each other one, and what tuning changed."""

    ranking: list[Ranked]
    from_first: list[Difference]
    tuned: winner.Winner
    tuning: Difference
    tuning_on_validation: float
    own_block_won: bool  # the search kept the model's own block: best is that model once more


def compare(models: dict[str, Model], class_names: list[str]) -> Comparison:
    """Read what stages recorded of each model, all of it tracked by git, and rank and compare them.

    Raises UserError where a file is missing, damaged, of other test images, or of a model that params.yaml lacks.
    """
    tuned = winner.read()
    if tuned["model"] not in models:
        raise UserError(f"{winner.FILE}: {tuned['model']} is no model of params.yaml; {files.RESTORE}")
    ranked = {
        name: Ranked(
            name,
            files.read_json(f"metrics/test/{name}.json", FinalScores),
            files.read_json(f"metrics/validation/{name}.json", Validation),
            image_scores.read(name, class_names),
        )
        for name in (*models, BEST)
    }
    ranking = sorted(ranked.values(), key=lambda model: model.test["roc_auc"], reverse=True)
    for model in ranking[1:]:
        if not model.images.same_split(ranking[0].images):
            both = f"{image_scores.path(model.name)} and {image_scores.path(ranking[0].name)}"
            raise UserError(f"{both}: are scores of different test splits; run `dvc repro`")

    def difference(one: str, other: str) -> Difference:
        value = ranked[one].test["roc_auc"] - ranked[other].test["roc_auc"]
        less = ranked[other].images.shortfall - ranked[one].images.shortfall
        answer = differences.shipped(value, less, ranked[one].images.labels)
        return Difference(one, other, answer.value, answer.low, answer.high)

    base = tuned["model"]
    return Comparison(
        ranking=ranking,
        from_first=[difference(ranking[0].name, model.name) for model in ranking[1:]],
        tuned=tuned,
        tuning=difference(BEST, base),
        tuning_on_validation=ranked[BEST].validation["roc_auc"] - ranked[base].validation["roc_auc"],
        own_block_won=tuned["block"] == models[base],
    )


def class_scores(model: Ranked, class_names: list[str]) -> list[ClassScores]:
    """ROC-AUC, precision, recall and F1 of each class, then their averages."""
    images = model.images
    rates = classification_report(
        images.labels, images.predicted, labels=range(len(class_names)), output_dict=True, zero_division=0.0
    )
    areas = [
        1 - images.false_positive_rate[images.labels == label].mean(dtype=np.float64)
        for label in range(len(class_names))
    ]
    rows = [(name, area, rates[str(label)]) for label, (name, area) in enumerate(zip(class_names, areas, strict=True))]
    rows.append(("macro avg", float(np.mean(areas)), rates["macro avg"]))
    return [
        ClassScores(name, area, row["precision"], row["recall"], row["f1-score"], int(row["support"]))
        for name, area, row in rows
    ]


def roc_curve(model: Ranked) -> list[tuple[float, float]]:
    """False positive rate, and the mean over the classes of the true positive rate at that rate.

    The true positive rate of a class at a rate is the share of its images that are found at a lower one.
    """
    images, classes = model.images, int(model.images.labels.max()) + 1
    found = [np.sort(images.false_positive_rate[images.labels == label]) for label in range(classes)]
    curve = np.mean([np.searchsorted(rates, RATES + ROUNDING, "right") / len(rates) for rates in found], axis=0)
    return list(zip(RATES.tolist(), curve.tolist(), strict=True))
