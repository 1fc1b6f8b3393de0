"""A folder of image files: FOLDER/train/CLASS/… and FOLDER/test/CLASS/…, in any depth below a class.

Images are in the order of their paths and classes in the order of their names, by code points: the same everywhere.
"""

import fnmatch
import os
import unicodedata
from pathlib import Path
from typing import NoReturn

import numpy as np

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.data import arrays
from study.params.resizing import Resizing
from study.sources import decoding

SPLITS = ("train", "test")
NAMED = 3  # broken files that the error itself names; all are printed
# What systems and editors leave: all that .dvcignore names for every folder, since DVC does not watch it. Hidden files
# and folders are none of the data either.
LEFT_BEHIND = (
    *(".*", "Thumbs.db", "desktop.ini", "*~", "#*#", "*.bak", "*.orig", "*.kate-swp", "*.partial"),
    *("__pycache__", "__MACOSX"),
)
IGNORED = ".dvcignore"


def read(folder: Path, side: int, resizing: Resizing) -> dict[str, np.ndarray]:
    """x_train, x_test (N, side, side, 3) uint8, y_train, y_test (N,) int, class_names (C,) str.

    Raises UserError if the folder is not as described, and for files that are no images, which it prints.
    """
    listing = _remembered(folder)
    class_names = arrays.checked_names(_class_names(folder, listing), str(folder))
    count = sum(map(len, listing.values()))
    needed, there = count * side * side * 3, runtime.memory()
    if needed > there:
        raise UserError(
            f"params.yaml: data.image_size is {side}, with which the {count} images of {folder} take "
            f"{needed / 1e9:.1f} GB; this machine has {there / 1e9:.1f} GB of memory"
        )
    found, broken = {"class_names": np.array(class_names)}, []
    for split in SPLITS:
        pixels = np.zeros((len(listing[split]), side, side, 3), np.uint8)
        for row, path in enumerate(listing[split]):
            try:
                pixels[row] = _image(path, side, resizing)
            except decoding.ImageError as error:
                broken.append(f"{path} {error}")
        labels = [class_names.index(_class_name(folder / split, path)) for path in listing[split]]
        found |= {f"x_{split}": pixels, f"y_{split}": np.array(labels)}
    if broken:
        _refuse(folder, broken, count)
    return found


def _image(path: Path, side: int, resizing: Resizing) -> np.ndarray:
    if path.suffix.lower() not in decoding.SUFFIXES:
        raise decoding.ImageError(f"has another ending than {', '.join(decoding.SUFFIXES)}")
    files.remember(path)
    return decoding.read(path, (side, side), resizing)


def _refuse(folder: Path, broken: list[str], count: int) -> None:
    for line in broken:
        print(runtime.one_line(line))
    raise UserError(
        f"{folder}: {len(broken)} of {count} files cannot be read as images: {'; '.join(broken[:NAMED])}"
        f"{', and so on (the lines above name all)' if len(broken) > NAMED else ''}; mend or remove them"
    )


def _remembered(folder: Path) -> dict[str, list[Path]]:
    """The files of each split. A stage refuses to write outputs once there are others."""
    stamps = {str(path): inputs.stamp(path) for path in _folders(folder)}
    listing = {split: _listed(folder / split) for split in SPLITS}
    for path, stamp in stamps.items():
        inputs.remember(path, stamp, lambda: {split: _listed(folder / split) for split in SPLITS} == listing)
    return listing


def _folders(folder: Path) -> list[str]:
    """The folder of each split and all folders in it."""
    if not folder.is_dir():
        raise UserError(
            f"params.yaml: data.folder {folder} is no folder{files.searched(str(folder))}; allowed: a folder of "
            "train/<class>/… and test/<class>/…"
        )
    _check_watched(folder)
    lacking = [split for split in SPLITS if not (folder / split).is_dir()]
    if lacking:
        raise UserError(
            f"params.yaml: data.folder {folder} holds no folder {' and no '.join(lacking)}; it must hold "
            "train/<class>/… and test/<class>/… of image files"
        )
    return [root for split in SPLITS for root, _, _ in os.walk(folder / split, onerror=_raise)]


def _check_watched(folder: Path) -> None:
    """Raise UserError if DVC would not watch all of what is read. It refuses a .dvcignore in the folder itself."""
    for split in SPLITS:
        _refuse_link(folder / split)
    root = Path.cwd()
    for above in (root / folder).parents:
        if root in above.parents and (above / IGNORED).is_file():
            raise UserError(
                f"{(above / IGNORED).relative_to(root)}: may keep files of data.folder {folder} from DVC, which would "
                "not see that they change; remove it"
            )


def _refuse_link(path: Path) -> None:
    if path.is_symlink() and path.is_dir():
        raise UserError(f"{path}: is a link to a folder, whose files DVC would not watch; put the folder itself there")


def _listed(split: Path) -> list[Path]:
    """The files of a split but LEFT_BEHIND, by their paths in code points."""
    found = []
    for root, folders, names in os.walk(split, onerror=_raise):
        folders[:] = [name for name in folders if not _is_left_behind(name)]
        for name in folders:
            _refuse_link(Path(root, name))
        found += [Path(root, name) for name in names if not _is_left_behind(name)]
    return sorted(found, key=lambda path: _composed(path.relative_to(split).as_posix()))


def _raise(error: OSError) -> NoReturn:
    raise error


def _is_left_behind(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in LEFT_BEHIND)


def _class_names(folder: Path, listing: dict[str, list[Path]]) -> list[str]:
    """The names of the folders in train, which must be those in test."""
    classes = {}
    for split, paths in listing.items():
        loose = [path for path in paths if path.parent == folder / split]
        if loose:
            raise UserError(f"{loose[0]}: lies in no folder of a class; move it to {folder / split}/<class>/")
        classes[split] = {_class_name(folder / split, path) for path in paths}
    train, test = classes.values()
    if not train and not test:
        raise UserError(f"{folder}: holds no images; put them into train/<class>/… and test/<class>/…")
    for one, other, split in ((train, test, "test"), (test, train, "train")):
        if one - other:
            raise UserError(
                f"{folder / split}: holds no image of {len(one - other)} of {len(train | test)} classes, "
                f"{', '.join(sorted(one - other)[:NAMED])}{' …' if len(one - other) > NAMED else ''}; both splits need "
                "images of every class"
            )
    by_look = {}
    for name in sorted(train):
        if (same := by_look.setdefault(name.casefold(), name)) != name:
            raise UserError(
                f"{folder}: the classes {same} and {name} differ in case only, and so would be one folder on some disks"
            )
    return sorted(train)


def _class_name(split: Path, path: Path) -> str:
    """The name of the folder below the split's, one for all ways in which disks write an accent."""
    return _composed(path.relative_to(split).parts[0])


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
