"""Scores of predicted class probabilities.

ROC-AUC is the macro average over the classes of the one-versus-rest area: the chance that an image of the class gets a
higher probability for it than an image of another class, ties counting half (Fawcett, An introduction to ROC
analysis, Pattern Recognition Letters 27, 2006).
"""

from typing import Annotated, NotRequired

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from study.scoring import intervals, placements
from study.scoring.probabilities import normalised

DECIMALS = 6

Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class Point(TypedDict):
    """Scores without intervals."""

    roc_auc: Share
    accuracy: Share
    log_loss: Amount


class Scores(Point):
    """The flat record that metrics/validation/*.json and metrics/test/*.json hold."""

    roc_auc_low: NotRequired[Share]  # not of fewer than `intervals.LEAST_PER_CLASS` images in a class
    roc_auc_high: NotRequired[Share]


class Repeat(Point):
    """The scores of one run of a block."""

    seed: int


class ValidationScores(Scores):
    """What metrics/validation/*.json holds besides the history."""

    temperature: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
    repeats: Annotated[list[Repeat], Field(min_length=1)]


def scores(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """roc_auc with its 95 % interval, if there is one, accuracy and log_loss, rounded to DECIMALS; two images or more
    per class.
    """
    values = point(labels, probabilities)
    shortfall = placements.shortfall(labels, placements.one_minus_placements(labels, normalised(probabilities)))
    interval = intervals.of_roc_auc(values["roc_auc"], shortfall, labels)
    bounds = {"roc_auc_low": interval[0], "roc_auc_high": interval[1]} if interval else {}
    record = {"roc_auc": values["roc_auc"]} | bounds | values
    return {name: round(value, DECIMALS) for name, value in record.items()}


def point(labels: np.ndarray, probabilities: np.ndarray) -> Point:
    """roc_auc, accuracy and log_loss of probabilities (N, C) float32 against labels (N,), every class present.

    The logarithm takes a probability for at least the smallest step of float64 above 0.
    """
    probabilities = normalised(probabilities)
    own = probabilities[np.arange(len(labels)), labels]
    return {
        "roc_auc": float(class_roc_auc(labels, probabilities).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "log_loss": float(-np.log(np.maximum(own, np.finfo(np.float64).eps)).mean()),
    }


def class_roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One-versus-rest ROC-AUC of each class, (C,)."""
    return np.array([_roc_auc(values, labels == label) for label, values in enumerate(probabilities.T)])


def _roc_auc(values: np.ndarray, positive: np.ndarray) -> float:
    """The mean share of negatives below a positive."""
    return float(placements.share_below(values[~positive], values[positive]).mean())
