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


def class_shortfalls(labels: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """What each image takes from the ROC-AUC of each class, (N, C), times the number of its class's images.

    With n images of class c and N in all, an image of c adds missed_c as a positive of c, and as a negative of another
    class d missed_d · n / (N − n_d). A column is the linear part of 1 − the area of its class: with the images of each
    class drawn by themselves, the variance of the area is the sum over the classes of var(column) / n (DeLong et al.
    1988; Sun and Xu, Fast implementation of DeLong's algorithm, IEEE Signal Processing Letters 21, 2014).
    """
    return weights(np.bincount(labels, minlength=missed.shape[1]))[labels] * missed


def weights(count: np.ndarray) -> np.ndarray:
    """How much 1 − a placement counts in `class_shortfalls`, (C, C): of an image of the row's class, in the column's
    area. From the number of images of each class (C,).
    """
    found = count[:, None] / (count.sum() - count)[None, :]
    np.fill_diagonal(found, 1.0)
    return found


def shortfall(labels: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """What each image (N,) takes from the macro ROC-AUC: the mean of what it takes from the classes."""
    return class_shortfalls(labels, missed).sum(axis=1) / missed.shape[1]
