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
from study.report.moderation import SeedVariance
from study.report.run import Scored
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
    seeds: SeedVariance | None  # None if the model was trained once or collapsed

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of roc_auc_mean; of a model without known seed variance, of roc_auc. None if a class has few test images."""
        if self.seeds is None:
            return (self.test["roc_auc_low"], self.test["roc_auc_high"]) if "roc_auc_low" in self.test else None
        own, images = self.seeds, self.images
        degrees = own.degrees_of_freedom * (own.seeds / own.raw) ** 2 if own.seeds > 0 else np.inf
        return intervals.of_mean_roc_auc(
            self.test["roc_auc_mean"], images.mean_shortfall, images.labels, own.seeds / self.repeats, degrees
        )

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
    """The models by the mean test ROC-AUC of their runs, every two of them compared, and what tuning changed.

    The comparisons of best, control and the tuned model are planned, so that they are corrected for themselves.
    """

    ranking: list[Ranked]
    pairs: list[Pair]  # the one stands above the other in the ranking
    tuned: winner.Winner

    def pair(self, one: str, other: str) -> Pair | None:
        """The one against the other; None if they are the same training."""
        return {pair.names: pair for each in self.pairs for pair in (each, each.turned)}.get((one, other))


def compare(models: dict[str, Model], class_names: list[str], smallest_change: float) -> Comparison:
    """Read what stages recorded of each model, and rank and compare them. Models of the same block are no pair.

    Raises UserError if a file is missing, damaged, of other test images, or of a model that params.yaml lacks.
    """
    source = run.working_folder()
    tuned = source.json(winner.FILE, winner.Winner)
    scored = run.scored(source, models, tuned, smallest_change, class_names, FinalScores)
    variances = differences.seed_variances(scored)
    ranked = [
        Ranked(
            **vars(model),
            validation=source.json(f"metrics/validation/{model.name}.json", Validation),
            seeds=variances.get(model.name) if not model.collapsed else None,
        )
        for model in scored
    ]
    for model in ranked:
        if [row["class"] for row in model.test["class_roc_auc"]] != class_names:
            what = f"has other classes than metrics/eda.json; {source.remedy}"
            raise source.fault(f"metrics/test/{model.name}.json", what)
    ranking = sorted(ranked, key=lambda model: model.test["roc_auc_mean"], reverse=True)
    return Comparison(
        ranking=ranking,
        pairs=_pairs(ranking, tuned, models[tuned["model"]], smallest_change),
        tuned=tuned,
    )


def _pairs(ranking: list[Ranked], tuned: winner.Winner, own: Model, smallest_change: float) -> list[Pair]:
    """All pairs of models of different blocks, however often these are repeated."""
    blocks = {BEST: tuned["block"], CONTROL: tuned["control"], tuned["model"]: own}
    once = {name: block.model_copy(update={"repeats": 1}) for name, block in blocks.items()}
    planned, others = [], []
    for one, other in itertools.combinations(ranking, 2):
        if not {one.name, other.name} <= once.keys():
            others.append((one, other))
        elif once[one.name] != once[other.name]:
            planned.append((one, other))
    families = [differences.pairs(family, smallest_change, ranking) for family in (planned, others)]
    place = {model.name: number for number, model in enumerate(ranking)}
    return sorted(itertools.chain(*families), key=lambda pair: [place[name] for name in pair.names])


def class_scores(model: Ranked, class_names: list[str]) -> list[dict]:
    """The recorded ROC-AUC of each class with scikit-learn's precision, recall, F1 and support, then their averages."""
    images, test = model.images, model.test
    rates = classification_report(
        images.labels, images.predicted, labels=range(len(class_names)), output_dict=True, zero_division=0.0
    )
    average = {"class": "macro avg", "roc_auc": test["roc_auc"]}
    if "roc_auc_low" in test:
        average |= {"low": test["roc_auc_low"], "high": test["roc_auc_high"]}
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
