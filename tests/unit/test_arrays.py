"""Arrays from outside are checked before they become data/raw.npz."""

import numpy as np
import pytest

from study.base.runtime import UserError
from study.data import arrays


def few_images(**changes) -> dict[str, np.ndarray]:
    """Six training and four test images of two classes, the fewest allowed, with some of the arrays changed."""
    base = {
        "x_train": np.full((6, 8, 8, 3), 255, np.uint8),
        "y_train": np.array([0, 1, 0, 1, 0, 1]),
        "x_test": np.full((4, 8, 8, 3), 255, np.uint8),
        "y_test": np.array([0, 1, 0, 1]),
    }
    return base | {key: np.array(value) for key, value in changes.items()}


def fewest_images(classes: int) -> dict[str, np.ndarray]:
    """Three training and two test images of each class."""
    return {
        "x_train": np.full((3 * classes, 2, 2, 3), 255, np.uint8),
        "y_train": np.arange(3 * classes) % classes,
        "x_test": np.full((2 * classes, 2, 2, 3), 255, np.uint8),
        "y_test": np.arange(2 * classes) % classes,
    }


def test_labels_in_a_column_become_a_row_of_bytes():
    checked = arrays.check(few_images(y_train=np.array([[0], [1], [0], [1], [0], [1]])), "x")
    assert (checked["y_train"].shape, checked["y_train"].dtype) == ((6,), np.uint8)


def test_classes_without_names_are_named_by_their_numbers():
    assert arrays.check(few_images(), "x")["class_names"].tolist() == ["0", "1"]


@pytest.mark.parametrize(("classes", "dtype"), [(256, np.uint8), (257, np.uint16), (2000, np.uint16)])
def test_the_highest_label_survives(classes, dtype):
    labels = arrays.check(fewest_images(classes), "x")["y_test"]
    assert (labels.max(), labels.dtype) == (classes - 1, dtype)


WHITE = np.full((6, 8, 8, 3), 255, np.uint8)
FOUR = [0, 1, 0, 1]  # labels
UNFIT = {
    "fractions as pixels": ({"x_train": np.float32(WHITE)}, "x_train is of dtype float32 and values 255.0 to 255.0; "),
    "12 bits in 16": ({"x_train": np.uint16(WHITE) * 16}, "x_train is of dtype uint16 and values 4080 to 4080;"),
    "text as pixels": ({"x_train": WHITE.astype(str)}, "x_train is of dtype <U3 and no numbers; allowed: uint8"),
    "fractions as bytes": ({"x_train": WHITE // 255}, "x_train is of values 1 to 1; allowed: .* the range 0 to 255"),
    "a test split of another range": ({"x_test": WHITE[:4] // 17}, "x_test is of values 15 to 15; allowed: pixel"),
    "no colours": ({"x_train": WHITE[..., 0]}, r"x_train is of shape \(6, 8, 8\)"),
    "one colour": ({"x_train": WHITE[..., :1]}, "3 colours"),
    "no test image": ({"x_test": WHITE[:0], "y_test": np.zeros(0, int)}, "x_test is of shape"),
    "two image sizes": ({"x_test": WHITE[:4, 1:]}, "as in x_train"),
    "too few labels": ({"y_train": [0, 1, 0]}, "one label per image"),
    "labels with a gap": ({"y_train": [0, 1, 0, 1, 0, np.nan]}, "y_train is of dtype float64; allowed: integers"),
    "a label below 0": ({"y_train": [0, 1, 0, 1, 0, -1]}, "y_train is -1 to 1; allowed: 0 to 1"),
    "a label beyond training's": ({"y_test": [0, 2, 0, 2]}, "y_test is 0 to 2; allowed: 0 to 1"),
    "a class without training images": ({"y_train": [0, 2, 0, 2, 0, 2]}, "0 images of class 1"),
    "two training images": ({"y_train": [0, 0, 0, 0, 1, 1]}, "y_train is 2 images of class 1; allowed: at least 3"),
    "one test image": ({"y_test": [0, 0, 0, 1]}, "y_test is 1 images of class 1; allowed: at least 2"),
    "validation of another size": ({"x_val": WHITE[:4, 1:], "y_val": FOUR}, r"x_val is of image shape \(7, 8, 3\); al"),
    "validation without labels": ({"x_val": WHITE[:4]}, "y_val is missing; allowed: images and labels of each split"),
    "one validation image": ({"x_val": WHITE[:3], "y_val": [0, 0, 1]}, "y_val is 1 images of class 1; allowed: at le"),
    "one class": ({"y_train": [0] * 6, "y_test": [0] * 4}, "the number of classes is 1"),
    "2001 classes": (fewest_images(2001), "the number of classes is 2001; allowed: 2 to 2000"),
    "a name given twice": ({"class_names": ["a", "a"]}, "class_names is of 'a' and 'a', which look the same"),
    "names that differ in their spaces": (
        {"class_names": ["a b", "a  b"]},
        "is of 'a b' and 'a b', which look the",
    ),
    "two forms of an accent": ({"class_names": ["na\u00efve", "nai\u0308ve"]}, r"'na\\xefve' and 'nai\\u0308ve', whi"),
    "two widths of a character": ({"class_names": ["a", "\uff41"]}, r"class_names is of 'a' and '\\uff41', which look"),
    "names in two dimensions": ({"class_names": [["a", "b"]]}, r"class_names is of shape \(1, 2\)"),
    "names as bytes": ({"class_names": [b"a", b"b"]}, "allowed: one string per class"),
}


@pytest.mark.parametrize(("changes", "message"), UNFIT.values(), ids=UNFIT)
def test_unfit_arrays_are_refused_by_name(changes, message):
    with pytest.raises(UserError, match=f"^some.npz: .*{message}"):
        arrays.check(few_images(**changes), "some.npz")


NAMES = {
    "HTML": ["</script><script>alert(1)</script>", "a<b", "b>c", 'a"b', "&lt;script&gt;", "＜script＞"],
    "Markdown": ["a|b", "`a`", "[a](b)", "![a](b)", "*a*", "_a_", "~a~", "a\\b", "$a$", "@a", "#1", "http://a"],
    "a spreadsheet": ["=1+1", "+1", "-1", "@SUM(1)", "a;=1+1", "\t=1", "＝1", "'=1", "{=1}"],
    "a terminal": ["\x1b[2J", "a\nb", "a\rb", "a\x00b", "a\x9bb", "\x07"],
    "a reader": ["a\u202eb", "a\u2066b", "a\u200bb", "a\u00adb", "\u0301a"],
    "a cell": ["", " ", " a", "a ", "a\u00a0b", "a\u3000", "a" * 65],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"in {sink}: {ascii(name)[:20]}") for sink, names in NAMES.items() for name in names]
)
def test_a_name_that_is_more_than_text_where_it_is_shown_is_refused(name):
    names = np.array(["a", name])
    with pytest.raises(UserError, match=r"^some.npz: class_names is of .*; allowed: 1 to 64 letters, digits") as error:
        arrays.check(few_images(class_names=names), "some.npz")
    assert str(error.value).isprintable()


REAL = [
    *("A", "T-shirt/top", "St. Bernard", "C++", "C#", "naïve", "猫", "10", "dog (small)", "O'Brien", "O’Brien", "R&D"),
    *("50%", "école", "जंगल", "кошка", "aquarium_fish", "tench, Tinca tinca", "Pepper,_bell___healthy", "nai\u0308ve"),
    "a" * 64,
]


@pytest.mark.parametrize("name", REAL)
def test_a_real_name_is_kept(name):
    assert arrays.check(few_images(class_names=np.array(["a", name])), "x")["class_names"].tolist() == ["a", name]
