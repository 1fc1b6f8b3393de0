"""The arrays that stages pass on: images (N, H, W, 3) uint8, labels (N,) uint8, class names (C,) str."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from study.base import files
from study.base.runtime import UserError

RAW = "data/raw.npz"
PREPARED = "data/prepared.npz"
TEST = "data/test.npz"
FEW = 10  # images of a class; see docs/methods.md

# A name of a class. It stands as it is in Markdown, HTML, spreadsheets, figures and terminals, since these characters
# mean nothing else there. A spreadsheet runs what begins with another one; a mark would join what is before it.
NAME = re.compile(r"[^\W_][\w .,'/()+&#%\-\u0080-\U0010ffff]{0,63}")
NAMES = "1 to 64 letters, digits, spaces and - _ . , ' / ( ) + & # %, a letter or digit first, no space last"


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
    fit: str = "stretch"  # how the images got their size (`params.fit`), and others are to get it

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]


def read_raw() -> tuple[Split, Split, list[str], str]:
    """Training split, test split, class names and fit as downloaded."""
    raw = files.read_npz(RAW, "x_train", "y_train", "x_test", "y_test", "class_names", optional=["fit"])
    train, test = Split(raw["x_train"], raw["y_train"]), Split(raw["x_test"], raw["y_test"])
    return train, test, raw["class_names"].tolist(), str(raw.get("fit", Prepared.fit))


def prepared_digest() -> str:
    """SHA-256 of data/prepared.npz."""
    files.remember(PREPARED)
    try:
        return files.sha256(PREPARED)
    except FileNotFoundError:
        raise UserError(f"{PREPARED}: is missing; `dvc repro` makes it") from None


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
    """The arrays with labels as (N,) uint8 and class names filled in. Raises UserError that names `source`.

    Images must be (N, H, W, 3) uint8, of one size in both splits; labels integers 0 .. C-1, shape (N,) or (N, 1). Every
    class needs two test images, without which nothing says how much its score varies, and three training images: one to
    learn from, two to validate with.
    """
    checked = {}
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        _check_images(images, f"{source}: x_{split}")
        checked[f"x_{split}"] = images
        checked[f"y_{split}"] = _checked_labels(labels, len(images), f"{source}: y_{split}")
    size, test_size = checked["x_train"].shape[1:], checked["x_test"].shape[1:]
    if size != test_size:
        _refuse(f"{source}: x_test", f"of image shape {test_size}", f"{size} as in x_train")
    names = _checked_names(arrays.get("class_names"), int(checked["y_train"].max()) + 1, source)
    for split, least in (("train", 3), ("test", 2)):
        _check_classes(checked[f"y_{split}"], names, least, f"{source}: y_{split}")
        checked[f"y_{split}"] = checked[f"y_{split}"].astype(np.uint8)
    return checked | {"class_names": names}


def checked_names(names: Sequence[str], source: str) -> list[str]:
    """The names of classes. Raises UserError that names `source`, if `check` would."""
    return _checked_names(np.array(names), len(names), source).tolist()


def is_name(name: str) -> bool:
    """Whether the name, and what programs may make of its full-width characters, stands for itself wherever shown."""
    shown = name.isprintable() and not name.endswith(" ")
    return shown and all(NAME.fullmatch(form) for form in (name, _look(name)))


def _look(name: str) -> str:
    """The same for names that look the same: one width of each character, one way to write an accent, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def _check_images(images: np.ndarray, name: str) -> None:
    if images.dtype != np.uint8:
        _refuse(name, f"of dtype {images.dtype}", "uint8, pixel values 0 to 255")
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        _refuse(name, f"of shape {images.shape}", "(images, height, width, 3 colours), none of them 0")


def _checked_labels(labels: np.ndarray, images: int, name: str) -> np.ndarray:
    """One integer per image."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (images,):
        _refuse(name, f"of shape {labels.shape}", f"one label per image, ({images},)")
    if labels.dtype.kind not in "iu":
        _refuse(name, f"of dtype {labels.dtype}", "integers from 0")
    return labels


def _checked_names(names: np.ndarray | None, labelled: int, source: str) -> np.ndarray:
    """The class names; numbers, if there are none for the `labelled` classes."""
    place = f"{source}: class_names"
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        _refuse(place, f"of shape {names.shape} and dtype {names.dtype}", "one string per class, (classes,)")
    count = labelled if names is None else len(names)
    if not 2 <= count <= 256:
        _refuse(f"{source}: the number of classes", str(count), "2 to 256")
    checked = [str(name) for name in (range(count) if names is None else names)]
    for name in checked:
        if not is_name(name):
            _refuse(place, f"of {name[:80]!r}", NAMES)
    if len({_look(name) for name in checked}) < count:
        _refuse(place, "not distinct", "one name per class")
    return np.array(checked)


def _check_classes(labels: np.ndarray, names: np.ndarray, least: int, place: str) -> None:
    """Labels from 0, one per name, each at least `least` times."""
    if labels.min() < 0 or labels.max() >= len(names):
        _refuse(place, f"{labels.min()} to {labels.max()}", f"0 to {len(names) - 1}")
    images_per_class = np.bincount(labels, minlength=len(names))
    if images_per_class.min() < least:
        rare = int(images_per_class.argmin())
        _refuse(place, f"{images_per_class[rare]} images of class {names[rare]}", f"at least {least} of every class")


def _refuse(place: str, found: str, allowed: str) -> NoReturn:
    raise UserError(f"{place} is {found}; allowed: {allowed}")
