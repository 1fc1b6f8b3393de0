"""The models that a command line names, by their files in any folder or by their names in models/."""

import sys
from pathlib import Path
from typing import Protocol

import numpy as np

from study.base import files
from study.base.runtime import UserError
from study.model_files.card import Card
from study.serving import onnx_file
from study.serving.keras_model import KerasModel

FOLDER = Path("models")
EXPORTED, TRAINED = ".onnx", ".keras"


class Predictor(Protocol):
    size: tuple[int, int]  # height and width of its images
    card: Card

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) of images (N, H, W, 3) uint8."""


def load(name: str) -> Predictor:
    """The predictor of a file; for a name without an extension, of the ONNX file, if it can be used and was made of the
    `.keras` file that is there, or if there is no other."""
    place = find(name)
    if place.suffix == EXPORTED:
        return onnx_file.read(place)
    if place.suffix == TRAINED:
        return KerasModel.read(place)
    exported, trained = Path(f"{place}{EXPORTED}"), Path(f"{place}{TRAINED}")
    if exported.is_file() and (onnx_file.is_installed() or not trained.is_file()):
        predictor = onnx_file.read(exported)
        if not trained.is_file() or predictor.source == files.sha256(trained):
            return predictor
        remedy = f"`python -m study export {name}` renews it"
        print(f"note: {exported} was made of another {trained}, which is used; {remedy}", file=sys.stderr)
    return KerasModel.read(trained)


def find(name: str) -> Path:
    """The file that is meant, or its path without an extension if the name has none.

    `best`, `models/best`, `best.keras` and `models/best.keras` all mean a model in models/; a file of the very name
    that was given, extension and all, comes first. Raises UserError if there is none.
    """
    given = Path(name).expanduser()
    is_file = given.suffix in (EXPORTED, TRAINED)
    endings = [""] if is_file else [EXPORTED, TRAINED]
    places = [given, FOLDER / given] if is_file else [FOLDER / given, given]
    files_by_place = [(place, Path(f"{place}{ending}")) for place in places for ending in endings]
    for place, file in files_by_place:
        if name and file.is_file():
            return place
    raise _no_model(name, given, [file for _, file in files_by_place])


def _no_model(name: str, given: Path, tried: list[Path]) -> UserError:
    """Why there is no model of this name, and which there are."""
    for file in tried:
        if files.broken_link(file):
            return files.missing(file)
    for file in tried:
        trained = file.with_name(f"{file.stem}{TRAINED}")
        if file.suffix == EXPORTED == given.suffix and trained.is_file():
            return UserError(f"{file}: is missing; `python -m study export {trained}` makes it")
        if file.suffix == TRAINED and files.is_output(file):
            return UserError(f"{file}: is missing; `dvc repro` makes it, `dvc pull {file}` gets it from a remote")
    here = ", ".join(sorted({file.stem for file in FOLDER.glob("*.*") if file.suffix in (EXPORTED, TRAINED)}))
    what = "is no model"
    if given.is_file() or (name and given.is_dir()):
        what = f"is {'a folder' if given.is_dir() else 'no .keras or .onnx file'}"
    return UserError(f"{name or repr(name)}: {what}; {f'models/ has {here}' if here else '`dvc repro` makes models'}")
