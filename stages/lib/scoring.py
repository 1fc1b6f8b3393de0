"""Scores of predicted class probabilities, with bootstrap intervals.

ROC-AUC is the macro average over the classes of the one-versus-rest area: the chance that an image of the class gets a
higher probability for it than an image of another class, ties counting half (Fawcett, An introduction to ROC
analysis, Pattern Recognition Letters 27, 2006).
"""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from typing_extensions import TypedDict

from stages.lib.dataset import Split

if TYPE_CHECKING:
    import keras

PREDICT_BATCH = 32  # images; the feature maps of more of them would be a large share of a ResNet's memory
CONFIDENCE = 0.95
DECIMALS = 6


def predict(model: "keras.Model", images: np.ndarray) -> np.ndarray:
    """Class probabilities (N, C) float32, or another model's outputs, of images (N, H, W, 3) uint8."""
    size = min(PREDICT_BATCH, len(images))
    outputs = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        # One shape, filled by repetition, is one graph. (Model.predict may wait at its end: see `batches.stream`.)
        outputs.append(model.predict_on_batch(np.resize(batch, (size, *batch.shape[1:])))[: len(batch)])
    return np.concatenate(outputs)


def point_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """roc_auc, accuracy and log_loss of probabilities (N, C) float32 against labels (N,), every class present."""
    probabilities = _normalised(probabilities)
    classes = np.arange(probabilities.shape[1])
    return {
        "roc_auc": float(class_roc_auc(labels, probabilities).mean()),
        "accuracy": float(accuracy_score(labels, probabilities.argmax(axis=1))),
        "log_loss": float(log_loss(labels, probabilities, labels=classes)),
    }


def roc_auc(model: "keras.Model", split: Split) -> float:
    """Macro ROC-AUC of the model on a split."""
    return point_scores(split.labels, predict(model, split.images))["roc_auc"]


def class_roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One-versus-rest ROC-AUC of each class, (C,)."""
    one_hot = labels[:, None] == np.arange(probabilities.shape[1])
    return roc_auc_score(one_hot, probabilities, average=None)


def bootstrap_roc_auc(labels: np.ndarray, probabilities: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Macro ROC-AUC of `replicates` stratified bootstrap samples, (replicates,) float64.

    Each sample draws from every class as many images as it has, with replacement (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993). The draws depend on labels and seed alone: two models' replicates over the
    same labels are paired, and their difference is a sample of the difference.

    An image drawn w times counts w times in the rank statistic, so one sort of the scores serves all replicates.
    """
    probabilities = _normalised(probabilities)
    members = [np.flatnonzero(labels == label) for label in range(probabilities.shape[1])]
    sorts = []
    for scores in probabilities.T:
        order = np.argsort(scores, kind="stable")
        tie_starts = np.flatnonzero(np.diff(scores[order], prepend=-1.0))
        sorts.append((order, tie_starts))

    rng = np.random.default_rng(seed)
    areas = np.empty(replicates)
    for replicate in range(replicates):
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        weights = np.bincount(drawn, minlength=len(labels))
        by_class = []
        for label, (order, tie_starts) in enumerate(sorts):
            positive = np.where(labels[order] == label, weights[order], 0)
            positives = np.add.reduceat(positive, tie_starts)
            negatives = np.add.reduceat(weights[order] - positive, tie_starts)
            below = np.cumsum(negatives) - negatives / 2
            by_class.append(positives @ below / (positives.sum() * negatives.sum()))
        areas[replicate] = np.mean(by_class)
    return areas


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap replicates."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]


class Scores(TypedDict):
    """The flat record that metrics/validation/*.json and metrics/test/*.json hold."""

    roc_auc: Share
    roc_auc_low: Share
    roc_auc_high: Share
    accuracy: Share
    log_loss: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


def scores(labels: np.ndarray, probabilities: np.ndarray, replicates: int, seed: int) -> Scores:
    """roc_auc with its 95 % interval, accuracy and log_loss, rounded to DECIMALS."""
    point = point_scores(labels, probabilities)
    low, high = interval(bootstrap_roc_auc(labels, probabilities, replicates, seed))
    record = {
        "roc_auc": point["roc_auc"],
        "roc_auc_low": low,
        "roc_auc_high": high,
        "accuracy": point["accuracy"],
        "log_loss": point["log_loss"],
    }
    return {name: round(value, DECIMALS) for name, value in record.items()}


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Rows as float64 that sum to 1 beyond the rounding of float32."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)
