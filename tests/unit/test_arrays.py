"""Arrays from outside are checked before they become data/raw.npz."""

import numpy as np
import pytest

from study.data import arrays
from study.runtime import UserError


def four_images(**changes) -> dict[str, np.ndarray]:
    """Four training and two test images of two classes, with some of the arrays changed."""
    base = {
        "x_train": np.zeros((4, 8, 8, 3), np.uint8),
        "y_train": np.array([0, 1, 0, 1]),
        "x_test": np.zeros((2, 8, 8, 3), np.uint8),
        "y_test": np.array([0, 1]),
    }
    return base | changes


def one_image_per_class(classes: int) -> dict[str, np.ndarray]:
    """Two training images and a test image of each class."""
    return {
        "x_train": np.zeros((2 * classes, 2, 2, 3), np.uint8),
        "y_train": np.arange(2 * classes) % classes,
        "x_test": np.zeros((classes, 2, 2, 3), np.uint8),
        "y_test": np.arange(classes),
    }


def test_labels_in_a_column_become_a_row_of_bytes():
    checked = arrays.check(four_images(y_train=np.array([[0], [1], [0], [1]])), "x")
    assert (checked["y_train"].shape, checked["y_train"].dtype) == ((4,), np.uint8)


def test_classes_without_names_are_named_by_their_numbers():
    assert arrays.check(four_images(), "x")["class_names"].tolist() == ["0", "1"]


def test_the_highest_label_of_256_classes_survives():
    assert arrays.check(one_image_per_class(256), "x")["y_test"].max() == 255


UNFIT = {
    "fractions as pixels": (
        {"x_train": np.zeros((4, 8, 8, 3), np.float32)},
        "x_train is of dtype float32; allowed: uint8",
    ),
    "no colours": ({"x_train": np.zeros((4, 8, 8), np.uint8)}, r"x_train is of shape \(4, 8, 8\)"),
    "one colour": ({"x_train": np.zeros((4, 8, 8, 1), np.uint8)}, "3 colours"),
    "no test image": ({"x_test": np.zeros((0, 8, 8, 3), np.uint8), "y_test": np.zeros(0, int)}, "x_test is of shape"),
    "two image sizes": ({"x_test": np.zeros((2, 9, 9, 3), np.uint8)}, "as in x_train"),
    "too few labels": ({"y_train": np.array([0, 1, 0])}, "one label per image"),
    "labels with a gap": (
        {"y_train": np.array([0.0, 1.0, 0.0, np.nan])},
        "y_train is of dtype float64; allowed: integers",
    ),
    "a label below 0": ({"y_train": np.array([0, 1, 0, -1])}, "y_train is -1 to 1; allowed: 0 to 1"),
    "a label beyond training's": ({"y_test": np.array([0, 2])}, "y_test is 0 to 2; allowed: 0 to 1"),
    "a class without training images": ({"y_train": np.array([0, 2, 0, 2])}, "0 images of class 1"),
    "a class with one training image": (
        {"y_train": np.array([0, 0, 0, 1])},
        "1 images of class 1; allowed: at least 2",
    ),
    "a class without test images": ({"y_test": np.array([0, 0])}, "0 images of class 1; allowed: at least 1"),
    "one class": ({"y_train": np.zeros(4, int), "y_test": np.zeros(2, int)}, "the number of classes is 1"),
    "257 classes": (one_image_per_class(257), "the number of classes is 257; allowed: 2 to 256"),
    "a name given twice": ({"class_names": np.array(["a", "a"])}, "class_names is not distinct"),
    "a name with a bar": (
        {"class_names": np.array(["a", "b|c"])},
        r"class_names is of 'b\|c'; allowed: printable names",
    ),
    "a name with a line break": ({"class_names": np.array(["a", "b\nc"])}, "class_names is of 'b.nc'"),
    "a blank name": ({"class_names": np.array(["a", " "])}, "class_names is of ' '"),
    "a name of 65 characters": ({"class_names": np.array(["a", "b" * 65])}, "at most 64 characters"),
    "names in two dimensions": ({"class_names": np.array([["a", "b"]])}, r"class_names is of shape \(1, 2\)"),
    "names as bytes": ({"class_names": np.array([b"a", b"b"])}, "allowed: one string per class"),
}


@pytest.mark.parametrize(("changes", "message"), UNFIT.values(), ids=UNFIT)
def test_unfit_arrays_are_refused_by_name(changes, message):
    with pytest.raises(UserError, match=f"^some.npz: .*{message}"):
        arrays.check(four_images(**changes), "some.npz")
