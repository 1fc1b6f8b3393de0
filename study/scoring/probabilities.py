"""Class probabilities as float64, and at another temperature. Imports NumPy only, so that `predict` starts at once."""

import numpy as np


def normalised(probabilities: np.ndarray) -> np.ndarray:
    """Rows as float64 that sum to 1 beyond the rounding of float32."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def logs(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms; a probability counts for at least the smallest step of float64 above 0."""
    return np.log(np.maximum(normalised(probabilities), np.finfo(np.float64).eps))


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) float64 at another temperature; 1 leaves them, a higher one moves them together.

    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017, arXiv:1706.04599.
    """
    logits = logs(probabilities) / temperature
    return normalised(np.exp(logits - logits.max(axis=1, keepdims=True)))
