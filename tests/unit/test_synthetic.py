"""The drawn images depend on the seed alone and have the faults that were planted."""

import numpy as np
import pytest

from study.cleaning import clean, duplicates, near_duplicates
from study.data import arrays
from study.data.arrays import Split
from study.params.schema import Synthetic
from study.sources import synthetic


def draw(seed: int) -> dict[str, np.ndarray]:
    near = {"near_duplicates": 8, "near_leaks": 5}
    return synthetic.draw(train_images=100, test_images=50, noise=10.0, duplicates=6, leaks=4, **near, seed=seed)


def test_the_same_seed_draws_the_same_images():
    one, same = draw(1), draw(1)
    assert all(np.array_equal(one[key], same[key]) for key in one)


def test_another_seed_draws_other_images():
    assert not np.array_equal(draw(1)["x_train"], draw(2)["x_train"])


def test_drawn_arrays_pass_the_check_of_arrays_from_outside():
    drawn = draw(1)
    checked = arrays.check(drawn, "synthetic")
    assert all(np.array_equal(checked[key], drawn[key]) for key in drawn)


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        pytest.param(0, 4, id="leaks"),
        pytest.param(1, 6, id="copies"),
        pytest.param(2, 2, id="an image with two labels"),
    ],
)
def test_drawn_images_have_the_planted_faults_and_no_other(fault, count):
    drawn = draw(1)
    splits = [Split(drawn[f"x_{name}"], drawn[f"y_{name}"]) for name in ("train", "test")]
    assert duplicates.faults(*splits)[fault].sum() == count


def test_drawn_images_have_the_planted_near_copies_and_no_other():
    drawn = draw(1)
    splits = [Split(drawn[f"x_{name}"], drawn[f"y_{name}"]) for name in ("train", "test")]
    assert list(near_duplicates.pairs(*splits).faults(splits[0]).values()) == [8, 0, 5, 0]


def test_near_copies_are_by_turns_mirrored_and_encoded_anew():
    drawn = draw(1)
    rows = synthetic.planted(100, leaks=4, near_leaks=5, near_duplicates=8, duplicates=6)["near_duplicates"]
    copies, own = drawn["x_train"][rows], drawn["x_train"][: 100 - 23]
    is_mirrored = [(copy[:, ::-1] == own).all(axis=(1, 2, 3)).any() for copy in copies]
    assert is_mirrored == [True, False] * 4


NONE = {"duplicates": 0, "leaks": 0, "near_duplicates": 0, "near_leaks": 0}


def splits_without_faults(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images as whole numbers that may be negative, and labels, of both splits."""
    drawn = synthetic.draw(train_images=count, test_images=count, noise=10.0, **NONE, seed=1)
    return [(drawn[f"x_{split}"].astype(int), drawn[f"y_{split}"]) for split in ("train", "test")]


def test_colours_do_not_tell_the_class():
    seen, new = ((split[..., :2] - split[..., 1:], labels) for split, labels in splits_without_faults(1000))
    means = np.array([seen[0][seen[1] == label].mean(axis=(0, 1, 2)) for label in range(10)])
    distances = np.square(new[0].mean(axis=(1, 2))[:, None] - means).sum(axis=-1)
    assert (distances.argmin(axis=1) == new[1]).mean() < 0.15  # by chance 0.1


PLANTED = {
    "duplicates": NONE | {"train_images": 100, "test_images": 20, "duplicates": 40},
    "leaks": NONE | {"train_images": 120, "test_images": 60, "leaks": 60},
    "both": NONE | {"train_images": 140, "test_images": 60, "duplicates": 40, "leaks": 40},
    "near-duplicates": NONE | {"train_images": 140, "test_images": 60, "near_duplicates": 40, "near_leaks": 40},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_cleaning_empties_no_class_however_many_faults_are_planted(planted, seed):
    drawn = synthetic.draw(**Synthetic(noise=10.0, **planted).model_dump(), seed=seed)
    train, test = (Split(drawn[f"x_{name}"], drawn[f"y_{name}"]) for name in ("train", "test"))
    rows = clean.clean_rows(train, test, synthetic.CLASS_NAMES, drop_near=planted["near_duplicates"] > 0)
    assert np.bincount(train.labels[rows], minlength=10).min() >= clean.LEAST
