"""What a model makes of each test image: all that comparisons need, in a small file that git tracks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.base import files
from study.base.runtime import UserError
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

    def same_split(self, other: "ImageScores") -> bool:
        """Whether both are of the same images with the same labels, in the same order."""
        return np.array_equal(self.image, other.image) and np.array_equal(self.labels, other.labels)


def image_scores(images: np.ndarray, labels: np.ndarray, trainings: Sequence[np.ndarray]) -> ImageScores:
    """From images (N, H, W, 3) uint8, labels (N,) and each repeat's class probabilities (N, C), every class present.

    All but the mean is of the first repeat, the model that is kept.
    """
    probabilities = normalised(trainings[0])
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
        shortfalls(labels, trainings).mean(axis=0),
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


def read(model: str, class_names: Sequence[str]) -> ImageScores:
    """What `write` wrote. Raises UserError where the file is missing, damaged, or holds no such scores."""
    header, *rows = files.read_csv(path(model))
    number = {name: number for number, name in enumerate(class_names)}
    try:
        if header != COLUMNS:
            raise ValueError
        image, actual, predicted, *numbers = list(zip(*rows, strict=True))[: -len(LABELS)]
        labels = np.array([number[name] for name in actual])
        scores = ImageScores(
            np.array(image), labels, np.array([number[name] for name in predicted]), *np.array(numbers, dtype=float)
        )
    except (ValueError, KeyError):
        labels = scores = None
    if scores is None or np.bincount(labels, minlength=len(class_names)).min() < 2:
        what = f"two or more images of each of {len(class_names)} classes"
        raise UserError(f"{path(model)}: holds no scores of {what}; {files.RESTORE}")
    return scores
