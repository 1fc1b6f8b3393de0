"""A folder of image files: FOLDER/train/CLASS/… and FOLDER/test/CLASS/…, in any depth below a class.

FOLDER/val/CLASS/… may hold images for validation.

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

VALIDATION = ("val", "valid", "validation")  # what the folder of images for validation may be called
NAMED = 3  # broken files that the error itself names; all are printed
# What systems and editors leave: all that .dvcignore names for every folder, since DVC does not watch it. Hidden files
# and folders are none of the data either.
LEFT_BEHIND = (
    *(".*", "Thumbs.db", "desktop.ini", "*~", "#*#", "*.bak", "*.orig", "*.kate-swp", "*.partial"),
    *("__pycache__", "__MACOSX"),
)
IGNORED = ".dvcignore"


def read(folder: Path, side: int, resizing: Resizing) -> dict[str, np.ndarray]:
    """x_train, x_test (N, side, side, 3) uint8, y_train, y_test (N,) int, class_names (C,) str; x_val, y_val, if there
    are images for validation.

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
    for split, paths in listing.items():
        pixels = np.zeros((len(paths), side, side, 3), np.uint8)
        for row, path in enumerate(paths):
            files.remember(path)
            try:
                pixels[row] = decoding.read(path, (side, side), resizing)
            except decoding.ImageError as error:
                broken.append(f"{path} {error}")
        labels = [class_names.index(_class_name(folder, path)) for path in paths]
        key = "val" if split in VALIDATION else split
        found |= {f"x_{key}": pixels, f"y_{key}": np.array(labels)}
    if broken:
        _refuse(folder, broken, count)
    return found


def _refuse(folder: Path, broken: list[str], count: int) -> None:
    for line in broken:
        print(runtime.one_line(line))
    raise UserError(
        f"{folder}: {len(broken)} of {count} files cannot be read as images: {'; '.join(broken[:NAMED])}"
        f"{', and so on (the lines above name all)' if len(broken) > NAMED else ''}; mend or remove them"
    )


def _remembered(folder: Path) -> dict[str, list[Path]]:
    """The files of each split, by the name of its folder. A stage refuses to write outputs once there are others."""
    if not folder.is_dir():
        raise UserError(
            f"params.yaml: data.folder {folder} is no folder{files.searched(str(folder))}; allowed: a folder of "
            "train/<class>/… and test/<class>/…"
        )
    _check_watched(folder)
    stamps = {}
    for root, folders, names in os.walk(folder, onerror=_raise):
        stamps[root] = inputs.stamp(root)
        _check_names(root, folders + names)
    listing = _listing(folder)
    for path, stamp in stamps.items():
        inputs.remember(path, stamp, lambda: _listing(folder) == listing)
    return listing


def _splits(folder: Path) -> list[str]:
    """The names of the folders of the splits."""
    lacking = [split for split in ("train", "test") if not (folder / split).is_dir()]
    if lacking:
        deeper = sorted(path.parent for path in folder.glob("*/train") if (path.parent / "test").is_dir())
        remedy = f"; set it to {deeper[0]}, which has both" if deeper else ""
        raise UserError(
            f"params.yaml: data.folder {folder} holds no folder {' and no '.join(lacking)}; it must hold "
            f"train/<class>/… and test/<class>/… of image files{remedy}"
        )
    validation = [name for name in VALIDATION if (folder / name).is_dir()]
    if len(validation) > 1:
        raise UserError(f"{folder}: holds {' and '.join(validation)}; allowed: one folder of images for validation")
    return ["train", *validation, "test"]


def _check_watched(folder: Path) -> None:
    """Raise UserError if DVC would not watch all of what is read. It refuses a .dvcignore in the folder itself."""
    root = Path.cwd()
    for above in (root / folder).parents:
        if root in above.parents and (above / IGNORED).is_file():
            raise UserError(
                f"{(above / IGNORED).relative_to(root)}: may keep files of data.folder {folder} from DVC, which would "
                "not see that they change; remove it"
            )


def _check_names(folder: str, names: list[str]) -> None:
    """Raise UserError if DVC, which writes names as UTF-8, could not."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = runtime.one_line(os.fsencode(Path(folder, name)).decode(errors="backslashreplace"))
            raise UserError(
                f"{shown}: has a name that is not UTF-8, which DVC cannot record; rename it, and all others like it"
            ) from None


def _refuse_link(path: Path) -> None:
    if path.is_symlink() and path.is_dir():
        raise UserError(f"{path}: is a link to a folder, whose files DVC would not watch; put the folder itself there")


def _listing(folder: Path) -> dict[str, list[Path]]:
    return {split: _listed(folder / split) for split in _splits(folder)}


def _listed(split: Path) -> list[Path]:
    """The files of a split but LEFT_BEHIND, by their paths in code points."""
    _refuse_link(split)
    found = []
    for root, folders, names in os.walk(split, onerror=_raise):
        folders[:] = [name for name in folders if not is_left_behind(name)]
        for name in folders:
            _refuse_link(Path(root, name))
        found += [Path(root, name) for name in names if not is_left_behind(name)]
    return sorted(found, key=lambda path: _composed(path.relative_to(split).as_posix()))


def _raise(error: OSError) -> NoReturn:
    raise error


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is none of the images."""
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in LEFT_BEHIND)


def _class_names(folder: Path, listing: dict[str, list[Path]]) -> list[str]:
    """The names of the folders in train, which must be those in the other splits."""
    classes = {}
    for split, paths in listing.items():
        depths = {len(path.relative_to(folder).parts): path for path in paths}
        if 2 in depths:
            raise UserError(f"{depths[2]}: lies in no folder of a class; move it to {folder / split}/<class>/")
        classes[split] = {_class_name(folder, path) for path in paths}
        if len(classes[split]) == 1 and 3 not in depths:
            only = folder / split / next(iter(classes[split]))
            raise UserError(f"{only}: stands where a class is expected; move the folders in it to {folder / split}")
    every = sorted(set.union(*classes.values()))
    if not every:
        raise UserError(f"{folder}: holds no images; put them into train/<class>/… and test/<class>/…")
    by_case = {}
    for name in every:
        if (same := by_case.setdefault(_without_case(name), name)) != name:
            raise UserError(
                f"{folder}: the classes {same} and {name} differ in case only, and so would be one folder on some disks"
            )
    for split, names in classes.items():
        if lacking := [name for name in every if name not in names]:
            raise UserError(
                f"{folder / split}: holds no image of {len(lacking)} of {len(every)} classes, "
                f"{', '.join(lacking[:NAMED])}{' …' if len(lacking) > NAMED else ''}; each split needs images of every "
                "class"
            )
    return every


def _class_name(folder: Path, path: Path) -> str:
    """The name of the folder below the split's, one for all ways in which disks write an accent."""
    return _composed(path.relative_to(folder).parts[1])


def _without_case(name: str) -> str:
    """The same for names that are one to disks that ignore case. Disks compare character by character: `straße` and
    `strasse` are two names."""
    forms = ((each.casefold(), each.lower(), each) for each in name)
    return "".join(next(form for form in options if len(form) == 1) for options in forms)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
