"""Exact duplicates are found, and what is wrong with a training image is told apart."""

import numpy as np
import pytest

from study.cleaning import duplicates
from study.data.arrays import Split


def numbered(rows: list[int], labels: list[int]) -> Split:
    """Images of two by two pixels of the value of their number."""
    images = np.array(rows, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    return Split(images, np.array(labels, np.uint8))


FAULTS = {
    "in the test split": [False, False, False, False, False, True],
    "repeated": [False, False, True, False, True, False],
    "labelled in two ways": [False, False, False, True, True, False],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_training_images_is_found_where_it_is(fault):
    found = duplicates.faults(numbered([0, 1, 1, 2, 2, 3], [0, 0, 0, 0, 1, 1]), numbered([3, 4], [1, 0]))
    assert found[list(FAULTS).index(fault)].tolist() == FAULTS[fault]


def test_images_that_differ_in_one_pixel_are_no_duplicates():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1, 3, 3, 2] = 1
    assert duplicates.groups(images).tolist() == [0, 1]
