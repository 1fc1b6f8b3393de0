"""The record of a data set counts what NumPy counts."""

import numpy as np
import pytest

from study.data.arrays import Split
from study.eda import summary


@pytest.fixture
def splits() -> tuple[Split, Split]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (1500, 4, 4, 3)).astype(np.uint8)
    labels = (np.arange(1500) % 3).astype(np.uint8)
    return Split(images[:1400], labels[:1400]), Split(images[1400:], labels[1400:])


@pytest.fixture
def record(splits) -> dict:
    train, test = splits
    shares = {"train": summary.pixel_shares(train), "test": summary.pixel_shares(test)}
    return summary.summary(train, test, ["a", "b", "c"], shares, {})


@pytest.mark.parametrize("statistic", ["mean", "std"])
def test_a_statistic_of_the_pixels_is_numpys(splits, record, statistic):
    expected = getattr(np, statistic)(splits[0].images, axis=(0, 1, 2))
    np.testing.assert_allclose(record["train"][f"pixel_{statistic}_rgb"], expected, atol=0.001)


def test_pixel_shares_sum_to_1_for_each_colour(splits):
    np.testing.assert_allclose(summary.pixel_shares(splits[0]).sum(axis=1), 1.0)


def test_images_of_each_class_are_counted(record):
    assert record["test"]["label_counts"] == {"a": 33, "b": 33, "c": 34}


def test_duplicates_are_counted_by_kind(splits):
    train, _ = splits
    rows = [0, 0, 1, 1, 2]
    copies = Split(train.images[rows], np.array([0, 0, 0, 1, 2], np.uint8))
    tests = Split(train.images[[2, 3, 3]], np.array([2, 0, 1], np.uint8))
    shares = {"train": summary.pixel_shares(copies), "test": summary.pixel_shares(tests)}
    faults = summary.summary(copies, tests, ["a", "b", "c"], shares, {"near-duplicates in train": 4})["duplicates"]
    assert {row["fault"]: row["images"] for row in faults} == {
        "repeated in train": 2,
        "repeated in test": 1,
        "train images that are in test": 1,
        "train images whose copy has another label": 2,
        "near-duplicates in train": 4,
    }
