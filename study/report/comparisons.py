"""What the recorded scores and predictions support, as records: no words, no figures."""

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.metrics import classification_report
from typing_extensions import TypedDict

from study.evaluation.final_scores import FinalScores
from study.params.schema import BEST, CONTROL, Model
from study.report import differences, run
from study.report.differences import Pair
from study.report.run import Files, Scored
from study.scoring import calibration, intervals
from study.scoring.calibration import Bin, CalibrationError
from study.scoring.scores import ValidationScores
from study.search.outcome import winner

RATES = np.linspace(0, 1, 101)  # false positive rates at which ROC curves are written
MISTAKES = 10  # that are listed per model
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
class Ranked(Scored):
    """A model and all of its scores."""

    test: FinalScores
    validation: Validation
    mean_interval: tuple[float, float] | None  # of roc_auc_mean; None if the seed variance is unknown, or images few

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of roc_auc; None if a class has too few test images."""
        return (self.test["roc_auc_low"], self.test["roc_auc_high"]) if "roc_auc_low" in self.test else None

    @property
    def calibration_error(self) -> CalibrationError:
        return calibration.expected_calibration_error(self.images.hits, self.images.confidence)

    @property
    def reliability(self) -> list[Bin]:
        return calibration.reliability(self.images.hits, self.images.confidence)

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        return intervals.of_accuracy(self.images.hits)

    @property
    def log_loss_interval(self) -> tuple[float, float]:
        return intervals.of_log_loss(self.images.log_loss, self.images.labels)


@dataclass(frozen=True)
class Mistake:
    """A test image that a model is wrong about."""

    number: int  # in the test split, from 0
    image: str  # the first digits of the SHA-256 of its pixels
    actual: str
    predicted: str
    confidence: float  # the probability of the predicted class
    probability: float  # of the actual class


@dataclass(frozen=True)
class Comparison:
    """The models by test ROC-AUC, every two of them compared, and what tuning changed."""

    ranking: list[Ranked]
    pairs: list[Pair]  # the one stands above the other in the ranking
    tuned: winner.Winner
    search_on_validation: float  # what the search gained there

    def pair(self, one: str, other: str) -> Pair | None:
        """The one against the other; None if they are the same training."""
        for pair in self.pairs:
            if pair.names == (one, other):
                return pair
            if pair.names == (other, one):
                return pair.turned
        return None


def compare(models: dict[str, Model], class_names: list[str]) -> Comparison:
    """Read what stages recorded of each model, and rank and compare them. Models of the same training are no pair.

    Raises UserError if a file is missing, damaged, of other test images, or of a model that params.yaml lacks.
    """
    source = run.working_folder()
    tuned = source.json(winner.FILE, winner.Winner)
    families = {name: block.family for name, block in models.items()}
    ranked = [_ranked(model, source) for model in run.scored(source, families, tuned, class_names, FinalScores)]
    for model in ranked:
        if [row["class"] for row in model.test["class_roc_auc"]] != class_names:
            what = f"has other classes than metrics/eda.json; {source.remedy}"
            raise source.fault(f"metrics/test/{model.name}.json", what)
    ranking = sorted(ranked, key=lambda model: model.test["roc_auc"], reverse=True)
    same = _same_trainings(tuned, models[tuned["model"]])
    compared = [pair for pair in itertools.combinations(ranking, 2) if {model.name for model in pair} not in same]
    on_validation = {model.name: model.validation["roc_auc"] for model in ranked}
    return Comparison(
        ranking=ranking,
        pairs=differences.pairs(compared),
        tuned=tuned,
        search_on_validation=on_validation[BEST] - on_validation[CONTROL],
    )


def _same_trainings(tuned: winner.Winner, own: Model) -> list[set[str]]:
    """Which two of best, control and the tuned model have one block, however often it is repeated."""
    blocks = {BEST: tuned["block"], CONTROL: tuned["control"], tuned["model"]: own}
    once = {name: block.model_copy(update={"repeats": 1}) for name, block in blocks.items()}
    return [{one, other} for one, other in itertools.combinations(once, 2) if once[one] == once[other]]


def _ranked(model: Scored, source: Files) -> Ranked:
    interval, noise = None, model.training.noise
    if noise:
        seed_variance = noise.variance / model.training.repeats
        mean, images = model.test["roc_auc_mean"], model.images
        interval = intervals.of_mean_roc_auc(
            mean, images.mean_shortfall, images.labels, seed_variance, noise.degrees_of_freedom
        )
    validation = source.json(f"metrics/validation/{model.name}.json", Validation)
    return Ranked(**vars(model), validation=validation, mean_interval=interval)


def class_scores(model: Ranked, class_names: list[str]) -> list[dict]:
    """The recorded ROC-AUC of each class with scikit-learn's precision, recall, F1 and support, then their averages."""
    images, test = model.images, model.test
    rates = classification_report(
        images.labels, images.predicted, labels=range(len(class_names)), output_dict=True, zero_division=0.0
    )
    average = {"class": "macro avg", "roc_auc": test["roc_auc"]}
    if model.interval:
        average |= dict(zip(("low", "high"), model.interval, strict=True))
    rows = [area | rates[str(label)] for label, area in enumerate(test["class_roc_auc"])]
    return [*rows, average | rates["macro avg"]]


def confusion(model: Ranked, classes: int) -> list[list[int]]:
    """Test images by actual class (rows) and predicted class (columns), in class order."""
    numbers = np.bincount(model.images.labels * classes + model.images.predicted, minlength=classes**2)
    return numbers.reshape(classes, classes).tolist()


def mistakes(model: Ranked, class_names: list[str], count: int = MISTAKES) -> list[Mistake]:
    """The mistakes of the highest confidence, the highest first."""
    images = model.images
    wrong = np.flatnonzero(~images.hits)
    chosen = wrong[np.argsort(-images.confidence[wrong], kind="stable")][:count]
    return [
        Mistake(
            int(row),
            str(images.image[row]),
            class_names[images.labels[row]],
            class_names[images.predicted[row]],
            float(images.confidence[row]),
            float(np.exp(-images.log_loss[row])),
        )
        for row in chosen
    ]


def roc_curve(model: Ranked) -> list[tuple[float, float]]:
    """False positive rate, and the mean over the classes of the true positive rate at that rate.

    The true positive rate of a class at a rate is the share of its images that are found at a lower one.
    """
    images, classes = model.images, int(model.images.labels.max()) + 1
    found = [np.sort(images.false_positive_rate[images.labels == label]) for label in range(classes)]
    curve = np.mean([np.searchsorted(rates, RATES + ROUNDING, "right") / len(rates) for rates in found], axis=0)
    return list(zip(RATES.tolist(), curve.tolist(), strict=True))
