"""What a model makes of each test image: all that comparisons need, in a small file that git tracks.

For class c, an image of c is a positive and any other image a negative. The placement of a positive is the share of
negatives that score below it for c, that of a negative the share of positives that score above it; ties count half
(DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
curves, Biometrics 44, 1988). The ROC-AUC of c is the mean placement of its positives, and of its negatives.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study import files
from study.runtime import UserError
from study.scoring.scores import normalised, share_below

NUMBERS = ("confidence", "false_positive_rate", "shortfall", "log_loss")
COLUMNS = ["image", "actual", "predicted", *NUMBERS]
HASH_DIGITS = 8


@dataclass(frozen=True)
class ImageScores:
    """Arrays (N,), one value per image in the order of the test split."""

    image: np.ndarray  # str, the first HASH_DIGITS hex digits of the SHA-256 of its pixels
    labels: np.ndarray  # int64
    predicted: np.ndarray  # int64, the class of the highest probability
    confidence: np.ndarray  # float64, that probability
    false_positive_rate: np.ndarray  # float64, 1 − the image's placement in its own class
    shortfall: np.ndarray  # float64, see `shortfall`
    log_loss: np.ndarray  # float64, − log of the probability of the image's own class

    def same_split(self, other: "ImageScores") -> bool:
        """Whether both are of the same images with the same labels, in the same order."""
        return np.array_equal(self.image, other.image) and np.array_equal(self.labels, other.labels)


def image_scores(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> ImageScores:
    """From images (N, H, W, 3) uint8, labels (N,) and class probabilities (N, C), every class present."""
    probabilities = normalised(probabilities)
    labels = labels.astype(np.int64)
    rows = np.arange(len(labels))
    missed = _one_minus_placements(labels, probabilities)
    return ImageScores(
        np.array([hashlib.sha256(image.tobytes()).hexdigest()[:HASH_DIGITS] for image in images]),
        labels,
        probabilities.argmax(axis=1),
        probabilities.max(axis=1),
        missed[rows, labels],
        shortfall(labels, missed),
        -np.log(np.maximum(probabilities[rows, labels], np.finfo(np.float64).eps)),
    )


def shortfall(labels: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """What each image (N,) takes from the macro ROC-AUC, as a positive and as a negative, times its class's images.

    With n images of class c, N in all and C classes, an image of c adds missed_c / C as a positive of c, and as a
    negative of another class d missed_d · n / (N − n_d) / C. These sums are the linear part of 1 − ROC-AUC: with the
    images of each class drawn by themselves, the variance of the area is the sum over the classes of
    var(shortfall) / n (DeLong et al. 1988; Sun and Xu, Fast implementation of DeLong's algorithm, IEEE Signal
    Processing Letters 21, 2014).
    """
    count = np.bincount(labels, minlength=missed.shape[1])
    weights = count[labels][:, None] / (len(labels) - count)[None, :]
    weights[np.arange(len(labels)), labels] = 1.0
    return (weights * missed).sum(axis=1) / missed.shape[1]


def _one_minus_placements(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """1 − the placement of each image in each class, (N, C) float64."""
    missed = np.empty(probabilities.shape)
    for label, values in enumerate(probabilities.T):
        positive = labels == label
        missed[positive, label] = 1 - share_below(values[~positive], values[positive])
        missed[~positive, label] = share_below(values[positive], values[~positive])
    return missed


def path(model: str) -> str:
    return f"metrics/images/{model}.csv"


def write(model: str, scores: ImageScores, class_names: Sequence[str]) -> None:
    """A row per image; numbers have six digits, however small they are."""
    names = np.array(class_names)
    numbers = ([f"{value:.6g}" for value in getattr(scores, name)] for name in NUMBERS)
    rows = zip(scores.image, names[scores.labels], names[scores.predicted], *numbers, strict=True)
    files.write_csv(path(model), COLUMNS, rows)


def read(model: str, class_names: Sequence[str]) -> ImageScores:
    """What `write` wrote. Raises UserError where the file is missing, damaged, or holds no such scores."""
    header, *rows = files.read_csv(path(model))
    number = {name: number for number, name in enumerate(class_names)}
    try:
        if header != COLUMNS:
            raise ValueError
        image, actual, predicted, *numbers = zip(*rows, strict=True)
        labels = np.array([number[name] for name in actual])
        scores = ImageScores(
            np.array(image), labels, np.array([number[name] for name in predicted]), *np.array(numbers, dtype=float)
        )
    except (ValueError, KeyError):
        labels = scores = None
    if scores is None or set(labels.tolist()) != set(range(len(class_names))):
        raise UserError(f"{path(model)}: holds no scores of images of {len(class_names)} classes; {files.RESTORE}")
    return scores
