"""Training images are cleaned, and every class stands in what is learned from and in validation."""

import re

import numpy as np
import pytest

from study.data import cleaning
from study.data.arrays import Split
from study.runtime import UserError


def different_images(*per_class: int) -> Split:
    """So many images of each class, no two of them equal."""
    labels = np.repeat(np.arange(len(per_class)), per_class).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3)).astype(np.uint8)
    return Split(images, labels)


def names(split: Split) -> list[str]:
    return [f"class{label}" for label in range(int(split.labels.max()) + 1)]


def test_faulty_training_images_are_dropped_and_counted_once(capsys):
    images = different_images(8, 8).images
    rows, labels = [0, 1, 1, 2, 2, 3, 3, 4, 5, 6], [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    rows, labels = [*rows, 7, 8, 9, 10], [*labels, 1, 1, 1, 1]
    kept = cleaning.clean_rows(Split(images[rows], np.array(labels)), Split(images[[3]], np.array([1])), ["a", "b"])
    assert kept.tolist() == [0, 1, 7, 8, 9, 10, 11, 12, 13]
    assert capsys.readouterr().out == (
        "14 training images: dropped 2 that are in the test split, 2 whose copy has another label, 1 repeated\n"
    )


# Images, by number, and labels of the training split; the test split has image 0. What is said of a class.
EMPTIED = {
    "one distinct image is left": (
        ([1, 2, 4, 5, 3, 3, 3], [0, 0, 0, 0, 1, 1, 1]),
        "leaves 1 of the 3 training images of class b; of this class it drops 0 that are in the test split, "
        "0 whose copy has another label, 2 repeated; ",
    ),
    "every image also stands under another label": (
        ([1, 2, 5, 6, 3, 4, 3, 4], [0, 0, 0, 0, 0, 0, 1, 1]),
        "leaves 0 of the 2 training images of class b; of this class it drops 0 that are in the test split, "
        "2 whose copy has another label, 0 repeated; ",
    ),
    "an image of the test split": (
        ([1, 2, 4, 5, 0, 3, 6, 7], [0, 0, 0, 0, 1, 1, 1, 1]),
        "leaves 3 of the 4 training images of class b; of this class it drops 1 that are in the test split, ",
    ),
    "nothing is left at all": (
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        "leaves 0 of the 2 training images of class a and too few of 1 other classes; ",
    ),
}


@pytest.mark.parametrize(("drawn", "message"), EMPTIED.values(), ids=EMPTIED)
def test_a_class_that_cleaning_empties_is_named_with_what_was_dropped_of_it(drawn, message):
    images = different_images(4, 4).images
    train = Split(images[drawn[0]], np.array(drawn[1], np.uint8))
    with pytest.raises(UserError) as error:
        cleaning.clean_rows(train, Split(images[[0]], np.array([1])), ["a", "b", "c"][: max(drawn[1]) + 1])
    assert str(error.value).startswith(f"data/raw.npz: cleaning {message}")
    assert str(error.value).endswith("add other images of it to the data, or correct their labels")


def test_validation_has_its_fraction_of_each_class_and_learning_has_the_rest():
    images = different_images(60, 20)
    learning, validation = cleaning.split(images, np.arange(80), names(images), 0.1, seed=0)
    assert [np.bincount(part.labels).tolist() for part in (learning, validation)] == [[54, 18], [6, 2]]


def test_no_image_is_both_learned_from_and_validated_with():
    images = different_images(30, 30)
    parts = cleaning.split(images, np.arange(10, 50), names(images), 0.25, seed=0)
    found = sorted(image.tobytes() for part in parts for image in part.images)
    assert found == sorted(image.tobytes() for image in images.images[10:50])


NONE, ONE = "no image to learn from", "fewer than two images for validation"
LACKING = {
    "validation": ((300, 4), 0.1, ONE, "4 cleaned training images of class class1: 0.5 to 0.75"),
    "learning": ((300, 5), 0.9, NONE, "5 cleaned training images of class class1: 0.4 to 0.8"),
    "fewer images for validation than classes": ((5, 5), 0.1, ONE, "5 cleaned"),
    "fewer images to learn from than classes": ((5, 5), 0.9, NONE, "5 cleaned"),
}


@pytest.mark.parametrize(("per_class", "fraction", "fault", "allowed"), LACKING.values(), ids=LACKING)
def test_a_fraction_that_leaves_a_class_too_few_images_is_refused_with_those_that_do_not(
    per_class, fraction, fault, allowed
):
    images = different_images(*per_class)
    start = f"params.yaml: prepare.validation_fraction is {fraction}, which leaves a class {fault}; allowed with the "
    with pytest.raises(UserError, match=f"^{re.escape(start + allowed)}"):
        cleaning.split(images, np.arange(len(images)), names(images), fraction, seed=0)


@pytest.mark.parametrize("per_class", [(4, 4), (4, 5), (300, 4), (9, 5, 4, 4), (9, 6, 100), (5, 5, 5, 50), (301, 7, 8)])
@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_the_fractions_that_are_named_as_allowed_are_so(per_class, end):
    images = different_images(*per_class)
    with pytest.raises(UserError) as error:
        cleaning.split(images, np.arange(len(images)), names(images), 0.999, seed=0)
    lowest, highest = re.search(r": ([\d.]+) to ([\d.]+)$", str(error.value)).groups()
    fraction = float({"lowest": lowest, "highest": highest}[end])
    parts = cleaning.split(images, np.arange(len(images)), names(images), fraction, seed=0)
    for part, least in zip(parts, (1, 2), strict=True):
        assert np.bincount(part.labels, minlength=len(per_class)).min() >= least
