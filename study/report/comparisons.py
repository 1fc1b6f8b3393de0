"""What the recorded scores and predictions support, as records: no words, no figures."""

import itertools
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.metrics import classification_report
from typing_extensions import TypedDict

from study.base import files
from study.base.runtime import UserError
from study.evaluation import image_scores, seeds
from study.evaluation.final_scores import FinalScores
from study.evaluation.image_scores import ImageScores
from study.params.schema import BEST, CONTROL, TRAINED_BY_BEST, Model
from study.report import differences
from study.report.differences import Answer, Training, Verdict
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
class Ranked:
    """A model and its scores."""

    name: str
    test: FinalScores
    validation: Validation
    images: ImageScores
    training: Training
    mean_interval: tuple[float, float] | None  # of roc_auc_mean: draw of images and seeds; None if the noise is unknown

    @property
    def calibration_error(self) -> CalibrationError:
        return calibration.expected_calibration_error(self.hits, self.images.confidence)

    @property
    def reliability(self) -> list[Bin]:
        return calibration.reliability(self.hits, self.images.confidence)

    @property
    def hits(self) -> np.ndarray:
        return self.images.predicted == self.images.labels

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        return intervals.of_accuracy(self.hits)

    @property
    def log_loss_interval(self) -> tuple[float, float]:
        return intervals.of_log_loss(self.images.log_loss, self.images.labels)


@dataclass(frozen=True)
class Pair:
    """Two models of one run, by the ROC-AUC of the one less that of the other on the same test images.

    `shipped`: do these two models differ on images like these? `retrained`: would it hold if both were trained again?
    None where the noise of the seeds is unknown. Verdicts are corrected, each for all pairs of the table.
    """

    one: str
    other: str
    shipped: Answer
    shipped_verdict: Verdict
    retrained: Answer | None
    verdict: Verdict | None

    @property
    def turned(self) -> "Pair":
        """The same of the other less the one."""
        return Pair(
            self.other,
            self.one,
            _turned(self.shipped),
            OPPOSITE[self.shipped_verdict],
            self.retrained and _turned(self.retrained),
            self.verdict and OPPOSITE[self.verdict],
        )


OPPOSITE: dict[Verdict, Verdict] = {
    "better": "worse",
    "worse": "better",
    "no difference shown": "no difference shown",
}


def _turned(answer: Answer) -> Answer:
    return replace(answer, value=-answer.value, low=-answer.high, high=-answer.low)


@dataclass(frozen=True)
class ClassScores:
    """Test scores of one class, or their average over the classes."""

    name: str
    roc_auc: float
    roc_auc_low: float
    roc_auc_high: float
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Mistake:
    """A test image that a model is wrong about."""

    number: int  # in the test split, from 0
    image: str  # the first digits of the SHA-256 of its pixels
    actual: str
    predicted: str
    confidence: float  # the probability of the predicted class
    probability: float  # that of the actual class


@dataclass(frozen=True)
class Comparison:
    """The models by test ROC-AUC, every two of them compared, and what tuning changed."""

    ranking: list[Ranked]
    pairs: list[Pair]  # the one stands above the other in the ranking
    tuned: winner.Winner
    search_on_validation: float  # what the search gained there

    @property
    def first_by_mean(self) -> Ranked:
        """The model with the highest mean over its repeats."""
        return max(self.ranking, key=lambda model: model.test["roc_auc_mean"])

    @property
    def tuning(self) -> Pair | None:
        """Best against the model whose block was tuned: what the search and the further epochs gained together.

        None where the two are one training, as in each of the two below.
        """
        return self.pair(BEST, self.tuned["model"])

    @property
    def search(self) -> Pair | None:
        """Best against the control, which has as many epochs: what the search gained."""
        return self.pair(BEST, CONTROL)

    @property
    def further_epochs(self) -> Pair | None:
        """The control against the model whose block was tuned: what the epochs of the winner gained by themselves."""
        return self.pair(CONTROL, self.tuned["model"])

    def from_(self, name: str) -> list[Pair]:
        """A model against each other one, in the order of the ranking."""
        pairs = (self.pair(name, model.name) for model in self.ranking)
        return [pair for pair in pairs if pair]

    def pair(self, one: str, other: str) -> Pair | None:
        for pair in self.pairs:
            if (pair.one, pair.other) == (one, other):
                return pair
            if (pair.one, pair.other) == (other, one):
                return pair.turned
        return None


def compare(models: dict[str, Model], class_names: list[str]) -> Comparison:
    """Read what stages recorded of each model, all of it tracked by git, and rank and compare them.

    Raises UserError where a file is missing, damaged, of other test images, or of a model that params.yaml lacks.
    """
    tuned = winner.read()
    base = tuned["model"]
    if base not in models:
        raise UserError(f"{winner.FILE}: {base} is no model of params.yaml; {files.RESTORE}")
    tests = {name: files.read_json(f"metrics/test/{name}.json", FinalScores) for name in (*models, *TRAINED_BY_BEST)}
    for name, record in tests.items():
        if [row["class"] for row in record["class_roc_auc"]] != class_names:
            raise UserError(f"metrics/test/{name}.json: has other classes than metrics/eda.json; {files.RESTORE}")
    families = {name: block.family for name, block in models.items()}
    families |= dict.fromkeys(TRAINED_BY_BEST, models[base].family)
    spreads = {name: record["spread"][0] if record["spread"] else None for name, record in tests.items()}
    ranked = {
        name: _ranked(
            name,
            record,
            class_names,
            Training(len(record["repeats"]), seeds.noise(name, families, spreads, None if name in models else base)),
        )
        for name, record in tests.items()
    }
    ranking = sorted(ranked.values(), key=lambda model: model.test["roc_auc"], reverse=True)
    for model in ranking[1:]:
        if not model.images.same_split(ranking[0].images):
            both = f"{image_scores.path(model.name)} and {image_scores.path(ranking[0].name)}"
            raise UserError(f"{both}: are scores of different test splits; run `dvc repro`")
    blocks = {BEST: tuned["block"], CONTROL: tuned["control"], base: models[base]}
    same = [set(names) for names in itertools.combinations(blocks, 2) if _are_one(*map(blocks.get, names))]
    return Comparison(
        ranking=ranking,
        pairs=compare_pairs(ranking, same),
        tuned=tuned,
        search_on_validation=ranked[BEST].validation["roc_auc"] - ranked[CONTROL].validation["roc_auc"],
    )


def _are_one(one: Model, other: Model) -> bool:
    """Whether two blocks are the same training, however often it is repeated."""
    return one.model_copy(update={"repeats": other.repeats}) == other


def _ranked(name: str, test: FinalScores, class_names: list[str], training: Training) -> Ranked:
    images = image_scores.read(name, class_names)
    interval, noise = None, training.noise
    if noise:
        seed_variance = noise.variance / training.repeats
        interval = intervals.of_mean_roc_auc(
            test["roc_auc_mean"], images.mean_shortfall, images.labels, seed_variance, noise.degrees_of_freedom
        )
    validation = files.read_json(f"metrics/validation/{name}.json", Validation)
    return Ranked(name, test, validation, images, training, interval)


def compare_pairs(ranking: list[Ranked], same: list[set[str]]) -> list[Pair]:
    """Each model against all below it; two that are the `same` model are no pair."""
    pairs = [(one, other) for one, other in itertools.combinations(ranking, 2) if {one.name, other.name} not in same]
    shipped = [_shipped(*pair) for pair in pairs]
    retrained = [_retrained(*pair) for pair in pairs]
    columns = (pairs, shipped, differences.verdicts(shipped), retrained, differences.verdicts(retrained))
    return [Pair(one.name, other.name, *answers) for (one, other), *answers in zip(*columns, strict=True)]


def _shipped(one: Ranked, other: Ranked) -> Answer:
    value = one.test["roc_auc"] - other.test["roc_auc"]
    return differences.shipped(value, other.images.shortfall - one.images.shortfall, one.images.labels)


def _retrained(one: Ranked, other: Ranked) -> Answer | None:
    value = one.test["roc_auc_mean"] - other.test["roc_auc_mean"]
    less = other.images.mean_shortfall - one.images.mean_shortfall
    return differences.retrained(value, less, one.images.labels, one.training, other.training)


def class_scores(model: Ranked, class_names: list[str]) -> list[ClassScores]:
    """ROC-AUC, precision, recall and F1 of each class, then their averages."""
    images = model.images
    rates = classification_report(
        images.labels, images.predicted, labels=range(len(class_names)), output_dict=True, zero_division=0.0
    )
    areas = [(row["class"], row["roc_auc"], row["low"], row["high"]) for row in model.test["class_roc_auc"]]
    rows = [(area, rates[str(label)]) for label, area in enumerate(areas)]
    average = ("macro avg", *(model.test[key] for key in ("roc_auc", "roc_auc_low", "roc_auc_high")))
    rows.append((average, rates["macro avg"]))
    return [
        ClassScores(*area, row["precision"], row["recall"], row["f1-score"], int(row["support"])) for area, row in rows
    ]


def confusion(model: Ranked, classes: int) -> list[list[int]]:
    """Test images by actual class (rows) and predicted class (columns), in class order."""
    numbers = np.bincount(model.images.labels * classes + model.images.predicted, minlength=classes**2)
    return numbers.reshape(classes, classes).tolist()


def mistakes(model: Ranked, class_names: list[str], count: int = MISTAKES) -> list[Mistake]:
    """The mistakes of the highest confidence, the highest first."""
    images = model.images
    wrong = np.flatnonzero(~model.hits)
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
