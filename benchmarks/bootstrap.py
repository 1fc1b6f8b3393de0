"""The stratified percentile bootstrap of ROC-AUC: the oracle of tests, and a contrast in `coverage`."""

import numpy as np

AT_ONCE = 2_000_000  # images of all samples whose weights are held at once


def bootstrap(labels: np.ndarray, probabilities: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Macro ROC-AUC of `replicates` stratified bootstrap samples of N images, (replicates,) float64.

    Each sample draws from every class as many images as it has, with replacement (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993). The draws depend on labels and seed alone: the replicates of two models over
    the same labels are paired, and their difference is a sample of the difference. `probabilities` are (N, C).

    An image drawn w times counts w times in the rank statistic, so one sort of the probabilities serves all samples.
    """
    members = [np.flatnonzero(labels == label) for label in range(probabilities.shape[1])]
    rng = np.random.default_rng(seed)
    parts, rows = [], max(1, AT_ONCE // len(labels))
    for start in range(0, replicates, rows):
        weights = np.empty((min(rows, replicates - start), len(labels)))
        for images in members:
            weights[:, images] = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), len(weights))
        parts.append(
            np.mean([_areas(weights, labels == c, values) for c, values in enumerate(probabilities.T)], axis=0)
        )
    return np.concatenate(parts)


def _areas(weights: np.ndarray, positive: np.ndarray, values: np.ndarray) -> np.ndarray:
    """ROC-AUC (R,) of R weightings (R, N) of images whose probability is `values` (N,), ties counting half."""
    order = np.argsort(values, kind="stable")
    ties = np.flatnonzero(np.diff(values[order], prepend=-1.0))  # where each group of equal values starts
    ordered = weights[:, order]
    positives = np.add.reduceat(ordered * positive[order], ties, axis=1)
    negatives = np.add.reduceat(ordered, ties, axis=1) - positives
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return (positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap replicates."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return float(low), float(high)
