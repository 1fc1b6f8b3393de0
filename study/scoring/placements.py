"""How each image stands among the others, which is all that ROC-AUC and its variance need.

For class c, an image of c is a positive and any other image a negative. The placement of a positive is the share of
negatives that score below it for c, that of a negative the share of positives that score above it; ties count half
(DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
curves, Biometrics 44, 1988). The ROC-AUC of c is the mean placement of its positives, and of its negatives.
"""

import numpy as np


def share_below(others: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of the other numbers below each value, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(ordered))


def one_minus_placements(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """1 − the placement of each image in each class, (N, C) float64."""
    missed = np.empty(probabilities.shape)
    for label, values in enumerate(probabilities.T):
        positive = labels == label
        missed[positive, label] = 1 - share_below(values[~positive], values[positive])
        missed[~positive, label] = share_below(values[positive], values[~positive])
    return missed


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
