"""Whether a model's confidence is what it claims, and the temperature that makes it so.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017, arXiv:1706.04599.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from study.scoring import intervals
from study.scoring.probabilities import logs

BINS = 15  # of equal width, Guo et al.'s
TEMPERATURES = (0.05, 20.0)  # sought between these
ROUNDING = 1e-5  # of log temperature


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error with its 95 % interval."""

    value: float
    low: float
    high: float
    calibrated: float  # what a perfectly calibrated model would show on as many images with this confidence


@dataclass(frozen=True)
class Bin:
    """Images whose confidence is above `low` and at most `high`."""

    low: float
    high: float
    images: int
    confidence: float  # mean
    accuracy: float
    accuracy_low: float
    accuracy_high: float


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """That by which log probabilities (N, C) must be divided to have the lowest log loss on labels (N,)."""
    rows, logits = np.arange(len(labels)), logs(probabilities)

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    found = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": ROUNDING})
    return float(np.exp(found.x))


def expected_calibration_error(hits: np.ndarray, confidence: np.ndarray, bins: int = BINS) -> CalibrationError:
    """The mean over the bins, weighted by their images, of |accuracy − mean confidence|; hits (N,), confidence (N,).

    The variance of each bin's gap is that of its images' hits less confidence. The error of few images is too large,
    by no more than that of a calibrated model; `low` leaves that much out. docs/methods.md has the formula.
    """
    number, total = _bins(confidence, bins), len(hits)
    gaps = np.asarray(hits, dtype=float) - confidence
    value = variance = chance = 0.0
    for images in np.unique(number):
        part, sure = gaps[number == images], confidence[number == images]
        value += abs(part.sum()) / total
        expected = float((sure * (1 - sure)).sum())  # the variance of the bin's sum, were it calibrated
        variance += max(float(((part - part.mean()) ** 2).sum()), expected)
        chance += np.sqrt(2 / np.pi * expected) / total
    half = intervals.NORMAL_QUANTILE * np.sqrt(variance) / total
    return CalibrationError(
        float(value), float(max(0.0, value - chance - half)), float(min(1.0, value + half)), float(chance)
    )


def reliability(hits: np.ndarray, confidence: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The bins that hold images, from low to high confidence, with Wilson's interval of their accuracy."""
    number, rows = _bins(confidence, bins), []
    for place in np.unique(number):
        chosen = number == place
        accuracy, interval = float(np.mean(hits[chosen])), intervals.of_accuracy(hits[chosen])
        edges = (float(place / bins), float((place + 1) / bins))
        rows.append(Bin(*edges, int(chosen.sum()), float(confidence[chosen].mean()), accuracy, *interval))
    return rows


def _bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number of each confidence's bin; bins are open below and closed above."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
