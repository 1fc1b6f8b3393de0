"""Labels and probabilities in the places of a model's, and what stages record of them."""

from typing import Any

import numpy as np

from study.evaluation.image_scores import image_scores
from study.report.comparisons import Ranked
from study.report.differences import Training


def sample(seed: int, count: int, classes: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that lean to them; `levels` rounds the scores, so that many tie."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    logits = rng.normal(size=(count, classes)) + np.eye(classes)[labels]
    if levels:
        logits = np.round(logits * levels) / levels
    odds = np.exp(logits)
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def unequal(count: int, classes: int, seed: int = 0, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """As `sample`, of classes of unequal size: each has half as many images as the one before."""
    labels, probabilities = sample(seed, count * classes, classes, levels)
    rows = [np.flatnonzero(labels == label)[: max(2, count >> label)] for label in range(classes)]
    kept = np.random.default_rng(seed).permutation(np.concatenate(rows))
    return labels[kept], probabilities[kept]


def varied(classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Samples of equal and unequal classes, with and without ties, by what they are."""
    return {
        "equal classes": sample(0, 400, classes),
        "unequal classes": unequal(240, classes),
        "ties": sample(1, 400, classes, levels=1),
        "ties in unequal classes": unequal(240, classes, levels=2),
    }


def pictures(count: int) -> np.ndarray:
    """Distinct images of one pixel, (count, 1, 1, 3) uint8."""
    return np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 1, 1, 4)[..., :3]


def scores(roc_auc: float) -> dict[str, float]:
    low, high = round(roc_auc - 0.05, 6), round(roc_auc + 0.05, 6)
    return {"roc_auc": roc_auc, "roc_auc_low": low, "roc_auc_high": high, "accuracy": 0.5, "log_loss": 1.0}


def repeat(roc_auc: float, seed: int = 42) -> dict[str, float]:
    return {"seed": seed, "roc_auc": roc_auc, "accuracy": 0.5, "log_loss": 1.0}


def record(roc_auc: float) -> dict:
    """A record as metrics/test/*.json holds it, of one training, for the classes a, b and c."""
    low, high = scores(roc_auc)["roc_auc_low"], scores(roc_auc)["roc_auc_high"]
    areas = [{"class": name, "roc_auc": roc_auc, "low": low, "high": high} for name in "abc"]
    once = {"roc_auc_mean": roc_auc, "repeats": [repeat(roc_auc)], "spread": []}
    return scores(roc_auc) | once | {"class_roc_auc": areas}


def repeated(roc_auc: float, mean: float, sd: float) -> dict:
    """A record as metrics/test/*.json holds it, of three trainings."""
    spread = {"raw_variance": 1.25 * sd**2, "sampling_variance": 0.25 * sd**2, "degrees_of_freedom": 2}
    repeats = {"repeats": [repeat(roc_auc, seed) for seed in (42, 1, 2)], "spread": [spread]}
    return record(roc_auc) | {"roc_auc_mean": mean, "roc_auc_seed_sd": sd} | repeats


def epoch(number: int = 1, **changes: float) -> dict[str, float]:
    row = {"epoch": number, "accuracy": 0.5, "loss": 1.0, "val_loss": 1.1, "val_accuracy": 0.4, "val_roc_auc": 0.7}
    return row | {"learning_rate": 0.01} | changes


def validation(roc_auc: float, history: list[dict] | None = None) -> dict:
    """A record as metrics/validation/*.json holds it, after one epoch."""
    return scores(roc_auc) | {"temperature": 1.2, "repeats": [repeat(roc_auc)], "history": history or [epoch()]}


def ranked(name: str, roc_auc: float, **changes: Any) -> Ranked:
    """A model that was trained once and predicts six images of three classes rightly and surely."""
    labels = np.arange(6) % 3
    images = image_scores(pictures(6), labels, [np.eye(3)[labels]])
    record_of_test = changes.pop("test", record(roc_auc))
    defaults = {"validation": validation(roc_auc + 0.01), "images": images, "training": Training(1, None)}
    return Ranked(name, record_of_test, **(defaults | {"mean_interval": None} | changes))
