"""95 % intervals in closed form, for test images of which each class was drawn by itself.

docs/methods.md derives the formulas; `python -m benchmarks.coverage` measures how often they hold the true value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from study.scoring import placements

LEVEL = 0.05  # how often an interval misses the true value
TAIL = LEVEL / 2
NORMAL_QUANTILE = 1.959964  # of 1 − TAIL
LEAST_PER_CLASS = 5  # images; of fewer, no closed form holds the true ROC-AUC often enough
NO_VARIANCE = 1e-24  # below this, images of a class differ by rounding alone
HIGHEST_LOSS = float(-np.log(np.finfo(np.float64).eps))  # of one image: see `scores.point`


@dataclass(frozen=True)
class Sampling:
    """The sampling error that finitely many test images give a value."""

    variance: float
    degrees_of_freedom: float  # infinite if the variance is 0

    @property
    def is_zero(self) -> bool:
        return self.variance < NO_VARIANCE


def enough(labels: np.ndarray) -> bool:
    """Whether each class has images enough for an interval of a ROC-AUC."""
    count = np.bincount(labels)
    return bool(count[count > 0].min() >= LEAST_PER_CLASS)


def sampling(contributions: np.ndarray, labels: np.ndarray) -> Sampling:
    """Of the sum over the classes of the mean contribution (N,) of their images; two images or more per class.

    Degrees of freedom after Satterthwaite (An approximate distribution of estimates of variance components, Biometrics
    Bulletin 2, 1946), n − 1 per class of n images.
    """
    every = np.bincount(labels)
    present = every > 0
    count = every[present]
    means = np.bincount(labels, contributions) / np.maximum(every, 1)
    squares = np.bincount(labels, (contributions - means[labels]) ** 2)[present]
    parts = squares / (count - 1) / count
    variance = float(parts.sum())
    if variance < NO_VARIANCE:
        return Sampling(variance, np.inf)
    return Sampling(variance, float(variance**2 / (parts**2 / (count - 1)).sum()))


def sampling_of_runs(shortfalls: np.ndarray, labels: np.ndarray) -> float:
    """What finitely many images add to the variance between the areas of runs with these shortfalls (R, N), R above 1.

    Half the sampling variance of a difference of two runs, averaged over all pairs of them.
    """
    deviations = shortfalls - shortfalls.mean(axis=0)
    return sum(sampling(row, labels).variance for row in deviations) / (len(deviations) - 1)


def of_mean(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Contributions (N,) of values (N,) to their mean over all images, for `sampling`."""
    return values * (np.bincount(labels)[labels] / len(labels))


def of_roc_auc(
    value: float, shortfall: np.ndarray, labels: np.ndarray, label: int | None = None
) -> tuple[float, float] | None:
    """Of a ROC-AUC to which each image (N,) adds − its shortfall: of the class `label`, or macro. None if a class has
    fewer than LEAST_PER_CLASS images.

    Normal on the logit scale (Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction,
    2003), less the bias that the curve of the logit brings, by the second-order delta method (Oehlert, A note on the
    delta method, The American Statistician 46, 1992). For its width, `unseen_variance` is added. Where no image
    differs from the others of its class, as with an area of 1, see `unseen_pairs`.
    """
    if not enough(labels):
        return None
    drawn = sampling(shortfall, labels)
    if drawn.is_zero or not 0 < value < 1:
        return _unseen(value, unseen_pairs(labels), 1.0)
    return _on_logit_scale(value, drawn.variance, unseen_variance(value, labels, label), NORMAL_QUANTILE)


def of_mean_roc_auc(
    value: float, shortfall: np.ndarray, labels: np.ndarray, seed_variance: float, seed_degrees_of_freedom: float
) -> tuple[float, float] | None:
    """As `of_roc_auc`, of a mean over repeats of the macro ROC-AUC to which other seeds add `seed_variance`.

    Only the variance of the seeds counts as uncertain, as in `of_roc_auc`: Student's t with the degrees of freedom of
    Satterthwaite in place of the normal quantile.
    """
    variance = sampling(shortfall, labels).variance + seed_variance
    if not enough(labels) or variance < NO_VARIANCE or not 0 < value < 1:
        return of_roc_auc(value, shortfall, labels)
    degrees = seed_degrees_of_freedom * (variance / seed_variance) ** 2 if seed_variance > 0 else np.inf
    return _on_logit_scale(value, variance, unseen_variance(value, labels), t_quantile(degrees))


def unseen_variance(value: float, labels: np.ndarray, label: int | None = None) -> float:
    """What few images may not show of the sampling variance of a ROC-AUC: of the class `label`, or macro.

    A class of few images often holds none of its rare faults, and then looks steady. So the placements of a guess,
    which spread evenly, count as one more degree of freedom: their variance, A (1 − A) / 3 for A = 1/2, is taken for
    every class and area A. With n images in a class that counts w in the area, and g = w² / n, the degrees of freedom
    are Satterthwaite's, Σ(g)² / Σ(g² / (n − 1)).
    """
    count = np.bincount(labels)
    weights = placements.weights(count)
    share = weights.mean(axis=1) if label is None else weights[:, label]
    parts = share**2 / count
    return float(value * (1 - value) / 3 * (parts**2 / (count - 1)).sum() / parts.sum())


def _on_logit_scale(value: float, variance: float, unseen: float, quantile: float) -> tuple[float, float]:
    slope = 1 / (value * (1 - value))
    middle = logit(value) - variance * slope**2 * (value - 0.5)
    half = quantile * np.sqrt(variance + unseen) * slope
    return float(expit(middle - half)), float(expit(middle + half))


def of_accuracy(hits: np.ndarray) -> tuple[float, float]:
    """Of the share of hits (N,) bool: the score interval of Wilson (Probable inference, the law of succession, and
    statistical inference, Journal of the American Statistical Association 22, 1927).

    It leaves out that each class was drawn by itself, and is a little too wide if classes differ in accuracy.
    """
    images, share = len(hits), float(np.mean(hits))
    square = NORMAL_QUANTILE**2 / images
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def of_log_loss(losses: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Of the mean of losses (N,): Student's t on the logarithmic scale, by the delta method."""
    value, drawn = float(np.mean(losses)), sampling(of_mean(losses, labels), labels)
    if drawn.is_zero:
        return _unseen(value, 1 - TAIL ** (1 / len(labels)), HIGHEST_LOSS)
    half = t_quantile(drawn.degrees_of_freedom) * np.sqrt(drawn.variance) / value
    return value * float(np.exp(-half)), value * float(np.exp(half))


def holm_factors(p_values: Sequence[float]) -> list[float]:
    """The factors by which p values rise so that all below a level are false together with at most that chance.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    left = len(p) - np.arange(len(p))
    adjusted = np.maximum.accumulate(p[order] * left)
    factors = np.empty(len(p))
    factors[order] = np.divide(adjusted, p[order], out=left.astype(float), where=p[order] > 0)
    return factors.tolist()


def t_quantile(degrees_of_freedom: float) -> float:
    """Of 1 − TAIL."""
    return float(stdtrit(min(degrees_of_freedom, 1e9), 1 - TAIL))


def unseen_pairs(labels: np.ndarray) -> float:
    """The largest share of pairs of images of two classes that may be ordered otherwise, though no pair drawn is.

    With n images in the smallest of C classes, M = C·n / 2 pairs can be formed of which no two share an image. If a
    share s of all pairs is ordered otherwise, none of M is with chance (1 − s)^M or less, which is TAIL for
    s = 1 − TAIL^(1/M): the "rule of three" of Hanley and Lippman-Hand (If nothing goes wrong, is everything all
    right? Journal of the American Medical Association 249, 1983), for pairs.
    """
    count = np.bincount(labels)
    return float(1 - TAIL ** (2 / (count.size * count[count > 0].min())))


def _unseen(value: float, share: float, most: float) -> tuple[float, float]:
    """Bounds of a mean in 0 .. `most` if a `share` of what it averages may have any value."""
    return value * (1 - share), value * (1 - share) + share * most
