"""The arrays that stages pass on: images (N, H, W, 3) uint8, labels (N,) uint8, class names (C,) str."""

from dataclasses import dataclass

import numpy as np

from study import files
from study.runtime import UserError

RAW = "data/raw.npz"
PREPARED = "data/prepared.npz"
TEST = "data/test.npz"


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, 3) uint8 and their labels (N,) uint8."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows) -> "Split":
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Prepared:
    """What models may learn from and be chosen by."""

    train: Split
    validation: Split
    class_names: list[str]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]


def read_raw() -> tuple[Split, Split, list[str]]:
    """Training split, test split and class names as downloaded."""
    raw = files.read_npz(RAW, "x_train", "y_train", "x_test", "y_test", "class_names")
    train, test = Split(raw["x_train"], raw["y_train"]), Split(raw["x_test"], raw["y_test"])
    return train, test, raw["class_names"].tolist()


def read_prepared() -> Prepared:
    arrays = files.read_npz(PREPARED, "x_train", "y_train", "x_validation", "y_validation", "class_names")
    return Prepared(
        Split(arrays["x_train"], arrays["y_train"]),
        Split(arrays["x_validation"], arrays["y_validation"]),
        arrays["class_names"].tolist(),
    )


def check(arrays: dict[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Return the arrays with labels as (N,) uint8 and class names filled in, or raise UserError.

    Images must be (N, H, W, 3) uint8, of one size in both splits; labels integers 0 .. C-1, shape (N,) or (N, 1);
    every class stands in both splits, at least twice in training (one to learn from, one to validate with).
    """

    def refuse(key: str, found: str, allowed: str):
        raise UserError(f"{source}: {key} is {found}; allowed: {allowed}")

    checked = {}
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if images.dtype != np.uint8:
            refuse(f"x_{split}", f"of dtype {images.dtype}", "uint8, pixel values 0 to 255")
        if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
            refuse(f"x_{split}", f"of shape {images.shape}", "(images, height, width, 3 colours), none of them 0")
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(images),):
            refuse(f"y_{split}", f"of shape {labels.shape}", f"one label an image, ({len(images)},)")
        if labels.dtype.kind not in "iu":
            refuse(f"y_{split}", f"of dtype {labels.dtype}", "integers from 0")
        checked[f"x_{split}"], checked[f"y_{split}"] = images, labels
    if checked["x_train"].shape[1:] != checked["x_test"].shape[1:]:
        refuse(
            "x_test", f"of image shape {checked['x_test'].shape[1:]}", f"{checked['x_train'].shape[1:]} as in x_train"
        )

    names = arrays.get("class_names")
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        refuse("class_names", f"of shape {names.shape} and dtype {names.dtype}", "one string a class, (classes,)")
    count = int(checked["y_train"].max()) + 1 if names is None else len(names)
    if not 2 <= count <= 256:
        refuse("the number of classes", str(count), "2 to 256")
    for split, least in (("train", 2), ("test", 1)):
        labels = checked[f"y_{split}"]
        if labels.min() < 0 or labels.max() >= count:
            refuse(f"y_{split}", f"{labels.min()} to {labels.max()}", f"0 to {count - 1}")
        images_a_class = np.bincount(labels, minlength=count)
        if images_a_class.min() < least:
            rare = int(images_a_class.argmin())
            refuse(f"y_{split}", f"{images_a_class[rare]} images of class {rare}", f"at least {least} of every class")
        checked[f"y_{split}"] = labels.astype(np.uint8)
    checked["class_names"] = np.array([str(name) for name in (range(count) if names is None else names)])
    for name in checked["class_names"].tolist():
        if not name.strip() or not name.isprintable() or "|" in name or len(name) > 64:
            allowed = "printable names of at most 64 characters without |, which parts the cells of tables"
            refuse("class_names", f"of {name[:80]!r}", allowed)
    if len(set(checked["class_names"].tolist())) < count:
        refuse("class_names", "not distinct", "one name a class")
    return checked
