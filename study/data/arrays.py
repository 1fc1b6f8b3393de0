"""The arrays that stages pass on: images (N, H, W, 3) uint8, labels (N,) uint8, class names (C,) str.

Labels of more than 256 classes are uint16.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from study.base import files
from study.base.runtime import UserError

RAW = "data/raw.npz"
PREPARED = "data/prepared.npz"
TEST = "data/test.npz"
LEAST_IMAGES = {"train": 3, "val": 2, "test": 2}  # of each class
FEW = 10  # images of a class; the report warns of fewer: see docs/methods.md
# More make figures of classes too large for matplotlib.
MOST_CLASSES = 2000
# The brightest value of 255 is at least this. If it is not, the values fill only a few of their bits: those of a camera
# with 12 bits, of a mask, or of images that were divided by 255.
LEAST_BRIGHTEST = 64

# A name of a class. It stands as it is in Markdown, HTML, spreadsheets, figures and terminals, since these characters
# mean nothing else there. A spreadsheet runs what begins with another one; a mark would join what is before it.
NAME = re.compile(r"[^\W_][\w .,'/()+&#%\-\u0080-\U0010ffff]{0,63}")
NAMES = "1 to 64 letters, digits, spaces and - _ . , ' / ( ) + & # %, a letter or digit first, no space last"

Refuse = Callable[[str, str, str], NoReturn]  # of a key, what it is, and what is allowed


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, 3) uint8 and their labels (N,)."""

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
    fit: str = "stretch"  # how the images got their size (`params.fit`), and others are to get it

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]


def read_raw() -> tuple[Split, Split, list[str], str, np.ndarray | None]:
    """Training split, test split, class names and fit as downloaded; and, if the data have images for validation, which
    of the training images these are, (N,) bool, else None."""
    keys = ("x_train", "y_train", "x_test", "y_test", "class_names")
    raw = files.read_npz(RAW, *keys, optional=["fit", "x_val", "y_val"])
    train, test = Split(raw["x_train"], raw["y_train"]), Split(raw["x_test"], raw["y_test"])
    is_validation = None
    if "x_val" in raw:
        is_validation = np.repeat([False, True], [len(train), len(raw["y_val"])])
        train = Split(np.concatenate([train.images, raw["x_val"]]), np.concatenate([train.labels, raw["y_val"]]))
    return train, test, raw["class_names"].tolist(), str(raw.get("fit", Prepared.fit)), is_validation


def prepared_digest() -> str:
    """SHA-256 of data/prepared.npz."""
    files.remember(PREPARED)
    try:
        return files.sha256(PREPARED)
    except FileNotFoundError:
        raise files.missing(PREPARED) from None


def read_prepared(source: str | Path | BinaryIO = PREPARED) -> Prepared:
    """From a file or an open file."""
    keys = ("x_train", "y_train", "x_validation", "y_validation", "class_names")
    arrays = files.read_npz(source, *keys, optional=["fit"])
    return Prepared(
        Split(arrays["x_train"], arrays["y_train"]),
        Split(arrays["x_validation"], arrays["y_validation"]),
        arrays["class_names"].tolist(),
        str(arrays.get("fit", Prepared.fit)),
    )


def check(arrays: dict[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """The arrays with labels as (N,) of one type and class names filled in. Raises UserError that names `source`.

    Images must be (N, H, W, 3) uint8, of one size in all splits; labels integers 0 .. C-1, shape (N,) or (N, 1). Every
    class needs two test images, without which nothing says how much its score varies, and three training images: one to
    learn from, two to validate with. If there are x_val and y_val, it needs two of these too.
    """
    refuse = partial(_refuse, source)
    checked = {}
    splits = [split for split in LEAST_IMAGES if {f"x_{split}", f"y_{split}"} & {*arrays}]
    for split in splits:
        for key in (f"x_{split}", f"y_{split}"):
            if key not in arrays:
                refuse(key, "missing", "images and labels of each split")
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        _check_images(images, f"x_{split}", refuse)
        checked[f"x_{split}"] = images
        checked[f"y_{split}"] = _checked_labels(labels, len(images), f"y_{split}", refuse)
        if (size := images.shape[1:]) != (needed := checked["x_train"].shape[1:]):
            refuse(f"x_{split}", f"of image shape {size}", f"{needed} as in x_train")
    names = _checked_names(arrays.get("class_names"), int(checked["y_train"].max()) + 1, refuse)
    for split in splits:
        _check_classes(checked[f"y_{split}"], names, LEAST_IMAGES[split], f"y_{split}", refuse)
        checked[f"y_{split}"] = checked[f"y_{split}"].astype(np.min_scalar_type(len(names) - 1))
    return checked | {"class_names": names}


def checked_names(names: Sequence[str], source: str) -> list[str]:
    """The names of classes. Raises UserError that names `source`, if `check` would."""
    return _checked_names(np.array(names), len(names), partial(_refuse, source)).tolist()


def _refuse(source: str, key: str, found: str, allowed: str) -> NoReturn:
    raise UserError(f"{source}: {key} is {found}; allowed: {allowed}")


def _check_images(images: np.ndarray, key: str, refuse: Refuse) -> None:
    values = f"values {images.min()} to {images.max()}" if images.size and images.dtype.kind in "biuf" else "no numbers"
    if images.dtype != np.uint8:
        refuse(key, f"of dtype {images.dtype} and {values}", "uint8, pixel values 0 to 255")
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        refuse(key, f"of shape {images.shape}", "(images, height, width, 3 colours), none of them 0")
    if images.max() < LEAST_BRIGHTEST:
        refuse(key, f"of {values}", "pixel values that use the range 0 to 255")


def _checked_labels(labels: np.ndarray, images: int, key: str, refuse: Refuse) -> np.ndarray:
    """One integer per image."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (images,):
        refuse(key, f"of shape {labels.shape}", f"one label per image, ({images},)")
    if labels.dtype.kind not in "iu":
        refuse(key, f"of dtype {labels.dtype}", "integers from 0")
    return labels


def _checked_names(names: np.ndarray | None, labelled: int, refuse: Refuse) -> np.ndarray:
    """The class names; numbers, if there are none for the `labelled` classes."""
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        refuse("class_names", f"of shape {names.shape} and dtype {names.dtype}", "one string per class, (classes,)")
    count = labelled if names is None else len(names)
    if not 2 <= count <= MOST_CLASSES:
        refuse("the number of classes", str(count), f"2 to {MOST_CLASSES}")
    checked = [str(name) for name in (range(count) if names is None else names)]
    for name in checked:
        if not is_name(name):
            refuse("class_names", f"of {name[:80]!r}", NAMES)
    looks = list(map(_look, checked))
    for name, look in zip(checked, looks, strict=True):
        if looks.count(look) > 1:
            twin = checked[len(looks) - 1 - looks[::-1].index(look)]
            refuse("class_names", f"of {name!a} and {twin!a}, which look the same", "one name per class")
    return np.array(checked)


def _look(name: str) -> str:
    """The same for names that look the same: one width of each character, one way to write an accent, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def is_name(name: str) -> bool:
    """Whether the name, and what programs may make of its full-width characters, stands for itself wherever shown."""
    shown = name.isprintable() and not name.endswith(" ")
    return shown and all(NAME.fullmatch(form) for form in (name, _look(name)))


def _check_classes(labels: np.ndarray, names: np.ndarray, least: int, key: str, refuse: Refuse) -> None:
    """Labels from 0, one per name, each at least `least` times."""
    if labels.min() < 0 or labels.max() >= len(names):
        refuse(key, f"{labels.min()} to {labels.max()}", f"0 to {len(names) - 1}")
    images_per_class = np.bincount(labels, minlength=len(names))
    if images_per_class.min() < least:
        rare = int(images_per_class.argmin())
        refuse(key, f"{images_per_class[rare]} images of class {names[rare]}", f"at least {least} of every class")
