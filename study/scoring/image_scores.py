"""What a model makes of each test image: all that comparisons need, in a small file that git tracks.

For class c, an image of c is a positive and any other image a negative. The placement of a positive is the share of
negatives that score below it for c, that of a negative the share of positives that score above it; ties count half
(DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
curves, Biometrics 44, 1988). The ROC-AUC of c is the mean placement of its positives, and of its negatives.
"""

from dataclasses import dataclass, fields

import numpy as np

from study import files
from study.runtime import UserError
from study.scoring.scores import normalised, share_below


@dataclass(frozen=True)
class ImageScores:
    """Arrays (N,), one value per image in the order of the test split, and the SHA-256 of the split's file."""

    labels: np.ndarray  # uint8
    predicted: np.ndarray  # uint8, the class of the highest probability
    confidence: np.ndarray  # float32, that probability
    false_positive_rate: np.ndarray  # float32, 1 − the image's placement in its own class
    shortfall: np.ndarray  # float32, see `shortfall`
    log_loss: np.ndarray  # float32, − log of the probability of the image's own class
    test_sha256: np.ndarray  # str, ()


def image_scores(labels: np.ndarray, probabilities: np.ndarray, test_sha256: str) -> ImageScores:
    """From labels (N,) and class probabilities (N, C), every class present."""
    probabilities = normalised(probabilities)
    own = probabilities[np.arange(len(labels)), labels]
    missed = _one_minus_placements(labels, probabilities)
    return ImageScores(
        labels.astype(np.uint8),
        probabilities.argmax(axis=1).astype(np.uint8),
        probabilities.max(axis=1).astype(np.float32),
        missed[np.arange(len(labels)), labels].astype(np.float32),
        shortfall(labels, missed).astype(np.float32),
        -np.log(np.maximum(own, np.finfo(np.float64).eps)).astype(np.float32),
        np.array(test_sha256),
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
    return f"metrics/images/{model}.npz"


def write(model: str, scores: ImageScores) -> None:
    files.write_npz(path(model), **{field.name: getattr(scores, field.name) for field in fields(scores)})


def read(model: str, classes: int) -> ImageScores:
    """What `write` wrote. Raises UserError where the file is missing, damaged, or holds no such scores."""
    names = [field.name for field in fields(ImageScores)]
    scores = ImageScores(**files.read_npz(path(model), *names, remedy=files.RESTORE))
    arrays = [getattr(scores, name) for name in names[:-1]]
    labels = scores.labels
    if len({array.shape for array in arrays}) > 1 or labels.ndim != 1 or set(labels.tolist()) != set(range(classes)):
        raise UserError(f"{path(model)}: holds no scores of images of {classes} classes; {files.RESTORE}")
    return scores
