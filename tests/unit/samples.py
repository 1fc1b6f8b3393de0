"""Labels and probabilities in the places of a model's, and what stages record of them.

The records come from the code of the stages, with the scores that a test needs: a new metric is in all of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from study.evaluation import final_scores
from study.evaluation.image_scores import image_scores
from study.report.comparisons import Ranked
from study.scoring.scores import Repeat, class_roc_auc

CLASSES = ["a", "b", "c"]
LABELS = np.arange(6) % 3
RIGHT = np.eye(3)[LABELS]  # probabilities that are right and sure


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


def bootstrap(labels: np.ndarray, probabilities: np.ndarray, replicates: int = 1000) -> np.ndarray:
    """The macro ROC-AUC of as many samples, each with as many images of every class; the same rows each time."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(labels == label) for label in range(probabilities.shape[1])]
    rows = (np.concatenate([rng.choice(images, len(images)) for images in members]) for _ in range(replicates))
    return np.array([class_roc_auc(labels[drawn], probabilities[drawn]).mean() for drawn in rows])


def pictures(count: int) -> np.ndarray:
    """Distinct images of one pixel, (count, 1, 1, 3) uint8."""
    return np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 1, 1, 4)[..., :3]


def final(
    labels: np.ndarray = LABELS,
    probabilities: np.ndarray = RIGHT,
    seeds: Sequence[int] = (42,),
    names: Sequence[str] = CLASSES,
    **changes: Any,
) -> dict:
    """metrics/test/*.json of repeats with these seeds that all predict the same."""
    return final_scores.final_scores(labels, [probabilities] * len(seeds), seeds, names) | changes


def record(roc_auc: float, **changes: Any) -> dict:
    """metrics/test/*.json with this area, of one training, for the classes a, b and c."""
    low, high = round(roc_auc - 0.05, 6), round(roc_auc + 0.05, 6)
    interval = {"roc_auc_low": low, "roc_auc_high": high, "roc_auc_mean": roc_auc}
    areas = [{"class": name, "roc_auc": roc_auc, "low": low, "high": high} for name in CLASSES]
    worse = {"roc_auc": roc_auc, "accuracy": 0.5, "log_loss": 1.0}
    return final(repeats=[repeat() | worse], class_roc_auc=areas, **worse, **interval) | changes


def repeated(roc_auc: float, mean: float, sd: float) -> dict:
    """metrics/test/*.json of three trainings."""
    spread = {"raw_variance": 1.25 * sd**2, "sampling_variance": 0.25 * sd**2, "degrees_of_freedom": 2}
    repeats = [repeat(seed) for seed in (42, 1, 2)]
    return record(roc_auc, roc_auc_mean=mean, roc_auc_seed_sd=sd, repeats=repeats, spread=[spread])


def repeat(seed: int = 42) -> Repeat:
    return final(seeds=[seed])["repeats"][0]


def epoch(number: int = 1, **changes: float) -> dict[str, float]:
    row = {"epoch": number, "accuracy": 0.5, "loss": 1.0, "val_loss": 1.1, "val_accuracy": 0.4, "val_roc_auc": 0.7}
    return row | {"learning_rate": 0.01} | changes


def validation(roc_auc: float, history: list[dict] | None = None) -> dict:
    """metrics/validation/*.json, after one epoch."""
    only_test = ("roc_auc_mean", "spread", "class_roc_auc")
    scores = {name: value for name, value in record(roc_auc).items() if name not in only_test}
    return scores | {"temperature": 1.2, "history": history or [epoch()]}


def without_intervals(model: Ranked) -> Ranked:
    """The model as if a class had too few test images for intervals of ROC-AUC."""
    test = {name: value for name, value in model.test.items() if name not in ("roc_auc_low", "roc_auc_high")}
    areas = [{name: row[name] for name in ("class", "roc_auc")} for row in test["class_roc_auc"]]
    return replace(model, test=test | {"class_roc_auc": areas}, seeds=None)


def tune(model: str, **changes: Any) -> dict:
    """metrics/tune.json of a search that this model won."""
    return {
        "model": model,
        "trials": 5,
        "epochs": 14,
        "kinds_of_arithmetic": 1,
        "trial": 3,
        "validation_roc_auc": 0.9,
        "values": {},
        "confirm": {"state": "confirmed", "epochs": 28, "finalists": {f"trial 3 of {model}": finalist(model)}},
        "seed": 5,
        "block": {},
        "control": {},
        "best_so_far": [{"trial": trial, "validation_roc_auc": 0.9} for trial in range(5)],
    } | changes


def searches(mean: float, sd: float = 0.0005) -> dict:
    """What metrics/tune.json adds for three searches with these validation scores, of images that all missed alike."""
    winners = [{"seed": seed, "model": "cnn2", "trial": 3, "values": {}} for seed in range(3)]
    return {
        "searches": {str(row["seed"]): row | {"roc_auc": round(mean + sd * (row["seed"] - 1), 6)} for row in winners},
        "sampling_variance": 0.0,
        "images": {"labels": [0, 1, 2] * 20, "shortfalls": [0.01] * 60},
    }


def finalist(model: str, **changes: Any) -> dict:
    """A finalist of metrics/tune.json that was shown to be better."""
    means = {"roc_auc": 0.9, "control_roc_auc": 0.88, "difference": 0.02}
    return {"model": model, "trial": 3} | means | {"optimism": 0.002, "low": 0.01, "high": 0.026, "p": 0.001} | changes


def ranked(name: str, roc_auc: float, **changes: Any) -> Ranked:
    """A model that was trained once and predicts six images of three classes rightly and surely."""
    defaults = {
        "test": record(roc_auc),
        "validation": validation(roc_auc + 0.01),
        "images": image_scores(pictures(6), LABELS, [RIGHT]),
        "collapsed": 0,
        "seeds": None,
    }
    return Ranked(name, **(defaults | changes))
