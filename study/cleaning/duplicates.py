"""Exact duplicates: images that agree in every pixel."""

import hashlib
from collections.abc import Iterable
from itertools import chain

import numpy as np

from study.data.arrays import Split


def groups(images: Iterable[np.ndarray]) -> np.ndarray:
    """A number for each of N images, equal for images of the same SHA-256: (N,) int. Holds no copy of the images."""
    numbers: dict[bytes, int] = {}
    hashes = (hashlib.sha256(image.tobytes()).digest() for image in images)
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in hashes])


def faults(train: Split, test: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is wrong with each training image: three (N,) bool arrays.

    in_test: the same image stands in the test split. repeated: an earlier training image is the same.
    conflicting: another training image is the same and has another label, so neither label can be trusted.
    """
    number = groups(chain(train.images, test.images))
    own, others = number[: len(train)], number[len(train) :]
    in_test = np.isin(own, others)
    _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
    repeated = np.arange(len(train)) != first[inverse]
    differs = train.labels != train.labels[first[inverse]]
    conflicting = np.isin(own, own[differs])
    return in_test, repeated, conflicting
