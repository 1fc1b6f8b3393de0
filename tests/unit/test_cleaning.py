"""Training images are cleaned, and every class stands in what is learned from and in validation."""

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
    images = different_images(6, 6).images
    rows, labels = [0, 1, 1, 2, 2, 3, 3, 4], [0, 0, 0, 0, 1, 1, 1, 1]
    kept = cleaning.clean_rows(Split(images[rows], np.array(labels)), Split(images[[3]], np.array([1])))
    assert kept.tolist() == [0, 1, 7]
    assert capsys.readouterr().out == (
        "8 training images: dropped 2 that are in the test split, 2 whose copy has another label, 1 repeated\n"
    )


def test_validation_has_its_fraction_of_each_class_and_learning_has_the_rest():
    images = different_images(60, 20)
    learning, validation = cleaning.split(images, np.arange(80), names(images), 0.1, seed=0)
    assert [np.bincount(part.labels).tolist() for part in (learning, validation)] == [[54, 18], [6, 2]]


def test_no_image_is_both_learned_from_and_validated_with():
    images = different_images(30, 30)
    parts = cleaning.split(images, np.arange(10, 50), names(images), 0.25, seed=0)
    found = sorted(image.tobytes() for part in parts for image in part.images)
    assert found == sorted(image.tobytes() for image in images.images[10:50])


LACKING = {
    "no image to validate with": (2, 0.1, "leaves 0 images for validation of class class1; allowed: 2 or more"),
    "one image to validate with": (10, 0.1, "leaves 1 images for validation of class class1; allowed: 2 or more"),
    "no image to learn from": (2, 0.9, "leaves 0 images to learn from of class class1; allowed: 1 or more"),
}


@pytest.mark.parametrize(("rare", "fraction", "message"), LACKING.values(), ids=LACKING)
def test_a_class_that_a_part_would_lack_is_named(rare, fraction, message):
    images = different_images(300, rare)
    with pytest.raises(UserError, match=rf"^params\.yaml: prepare\.validation_fraction is {fraction}: it {message}"):
        cleaning.split(images, np.arange(300 + rare), names(images), fraction, seed=0)


def test_a_fraction_that_leaves_fewer_images_than_classes_is_refused():
    images = different_images(5, 5)
    with pytest.raises(
        UserError, match=r"^params\.yaml: prepare\.validation_fraction is 0\.1 and cleaning left 10 images: "
    ):
        cleaning.split(images, np.arange(10), names(images), 0.1, seed=0)
