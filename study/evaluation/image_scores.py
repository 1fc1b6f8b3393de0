"""What a model makes of each test image: all that comparisons need, in a small file that git tracks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from study.base import files
from study.evaluation.final_scores import shortfalls
from study.scoring import placements
from study.scoring.probabilities import normalised

NUMBERS = ("confidence", "false_positive_rate", "shortfall", "mean_shortfall", "log_loss")
LABELS = ("actual_label", "predicted_label")  # the numbers of the classes, by which plots order them
COLUMNS = ["image", "actual", "predicted", *NUMBERS, *LABELS]
HASH_DIGITS = 8


@dataclass(frozen=True)
class ImageScores:
    """Arrays (N,), one value per image in the order of the test split."""

    image: np.ndarray  # str, the first HASH_DIGITS hex digits of the SHA-256 of its pixels
    labels: np.ndarray  # int64
    predicted: np.ndarray  # int64, the class of the highest probability
    confidence: np.ndarray  # float64, that probability
    false_positive_rate: np.ndarray  # float64, 1 − the image's placement in its own class
    shortfall: np.ndarray  # float64, see `placements.shortfall`
    mean_shortfall: np.ndarray  # float64, over the repeats
    log_loss: np.ndarray  # float64, − log of the probability of the image's own class
    class_names: tuple[str, ...] = ()  # in the order of their numbers, if a table gave them

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    def split_difference(self, other: "ImageScores") -> Literal["images", "order", "names", "labels"] | None:
        """What tells the test splits apart: None if both are of the same images with the same labels, in one order."""
        if not np.array_equal(self.image, other.image):
            return "order" if np.array_equal(np.sort(self.image), np.sort(other.image)) else "images"
        if sorted(self.class_names) != sorted(other.class_names):
            return "names"
        return None if np.array_equal(self.labels, other.labels) else "labels"


def image_scores(images: np.ndarray, labels: np.ndarray, runs: Sequence[np.ndarray]) -> ImageScores:
    """From images (N, H, W, 3) uint8, labels (N,) and each repeat's class probabilities (N, C), every class present.

    All but the mean is of the first repeat, the model that is kept.
    """
    probabilities = normalised(runs[0])
    labels = labels.astype(np.int64)
    rows = np.arange(len(labels))
    missed = placements.one_minus_placements(labels, probabilities)
    return ImageScores(
        np.array([hashlib.sha256(image.tobytes()).hexdigest()[:HASH_DIGITS] for image in images]),
        labels,
        probabilities.argmax(axis=1),
        probabilities.max(axis=1),
        missed[rows, labels],
        placements.shortfall(labels, missed),
        shortfalls(labels, runs).mean(axis=0),
        -np.log(np.maximum(probabilities[rows, labels], np.finfo(np.float64).eps)),
    )


def path(model: str) -> str:
    return f"metrics/images/{model}.csv"


def write(model: str, scores: ImageScores, class_names: Sequence[str]) -> None:
    """A row per image; numbers have six digits, however small they are."""
    names = np.array(class_names)
    numbers = ([f"{value:.6g}" for value in getattr(scores, name)] for name in NUMBERS)
    classes = (scores.labels, scores.predicted)
    rows = zip(scores.image, *(names[labels] for labels in classes), *numbers, *classes, strict=True)
    files.write_csv(path(model), COLUMNS, rows)


def parse(rows: Sequence[Sequence[str]], class_names: Sequence[str] | None = None) -> ImageScores:
    """From the rows of such a table, its header first. Without class names, classes are numbered in alphabetical order.

    Raises ValueError if a column is missing, or if the rows hold no such scores.
    """
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=False))
    if missing := [name for name in COLUMNS if name not in columns and name not in LABELS]:
        raise ValueError(f"lacks {missing[0]}")
    names = tuple(class_names or sorted({*columns["actual"]}))
    number = {name: number for number, name in enumerate(names)}
    try:
        labels, predicted = (np.array([number[name] for name in columns[key]]) for key in ("actual", "predicted"))
        numbers = np.array([columns[name] for name in NUMBERS], dtype=float)
        if np.bincount(labels, minlength=len(number)).min() < 2 or not np.isfinite(numbers).all():
            raise ValueError
    except (ValueError, KeyError):
        raise ValueError(f"holds no scores of two or more images of each of {len(number)} classes") from None
    return ImageScores(np.array(columns["image"]), labels, predicted, *numbers, names)
