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


class Scores(TypedDict):
    """The flat record that metrics/validation/*.json and metrics/test/*.json hold."""

    roc_auc: Share
    roc_auc_low: NotRequired[Share]  # not of fewer than `intervals.LEAST_PER_CLASS` images in a class
    roc_auc_high: NotRequired[Share]
    accuracy: Share
    log_loss: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class Repeat(TypedDict):
    """The scores of one training of a block."""

    seed: int
    roc_auc: Share
    accuracy: Share
    log_loss: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class ValidationScores(Scores):
    """What metrics/validation/*.json holds besides the history."""

    temperature: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
    repeats: Annotated[list[Repeat], Field(min_length=1)]


def scores(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """roc_auc with its 95 % interval, if there is one, accuracy and log_loss, rounded to DECIMALS; two images or more
    per class.
    """
    point_scores = point(labels, probabilities)
    missed = placements.one_minus_placements(labels, normalised(probabilities))
    shortfall = placements.shortfall(labels, missed)
    low, high = intervals.of_roc_auc(point_scores["roc_auc"], shortfall, labels) or (None, None)
    record = {
        "roc_auc": point_scores["roc_auc"],
        "roc_auc_low": low,
        "roc_auc_high": high,
        "accuracy": point_scores["accuracy"],
        "log_loss": point_scores["log_loss"],
    }
    return {name: round(value, DECIMALS) for name, value in record.items() if value is not None}


def point(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
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
