"""Exact duplicates: images that agree in every pixel."""

import numpy as np

from stages.lib.dataset import Split


def groups(images: np.ndarray) -> np.ndarray:
    """A number for each image (N, ...), equal for images that agree in every byte: (N,) int."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.unique(rows.view(f"V{rows.shape[1]}").ravel(), return_inverse=True)[1]


def faults(train: Split, test: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is wrong with each training image: three (N,) bool arrays.

    in_test: the same image stands in the test split. repeated: an earlier training image is the same.
    conflicting: another training image is the same and has another label, so neither label can be trusted.
    """
    number = groups(np.concatenate([train.images, test.images]))
    own, others = number[: len(train)], number[len(train) :]
    in_test = np.isin(own, others)
    _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
    repeated = np.arange(len(train)) != first[inverse]
    differs = train.labels != train.labels[first[inverse]]
    conflicting = np.isin(own, own[differs])
    return in_test, repeated, conflicting
