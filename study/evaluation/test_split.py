"""The test split: `evaluate` and `best` score on it, and nothing chooses by it. The only reader of data/test.npz."""

from study.base import files
from study.data.arrays import TEST, Split


def read() -> tuple[Split, list[str]]:
    """The test split and the class names."""
    arrays = files.read_npz(TEST, "x_test", "y_test", "class_names")
    return Split(arrays["x_test"], arrays["y_test"]), arrays["class_names"].tolist()
