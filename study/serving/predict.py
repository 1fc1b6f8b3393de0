"""The command `predict`: the classes of image files by one model file. It reads nothing else of the project.

The ONNX file of a model answers within two seconds. Without it, or without ONNX Runtime, the `.keras` file is loaded by
Keras, whose import alone takes longer.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from study.base import files, runtime
from study.base.runtime import UserError, one_line
from study.model_files.card import Card
from study.scoring.probabilities import calibrated
from study.serving import onnx_file, sources
from study.serving.forms import FORMS, Prediction, shown
from study.sources import decoding

BATCH = 32  # images that are read before they are scored and printed


class Predictor(Protocol):
    size: tuple[int, int]  # height and width of its images
    card: Card

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) of images (N, H, W, 3) uint8."""


def main(arguments: list[str], model: str, top: int, form: str) -> None:
    """Print the `top` classes of each image; a line on stderr for each that has none, and then exit code 1."""
    if top < 1:
        raise UserError(f"--top is {top}; allowed: 1 or more")
    refused: list[str] = []

    def refuse(name: str, fault: str) -> None:
        refused.append(name)
        sys.stdout.flush()
        print(f"error: {shown(name)}: {one_line(fault)}", file=sys.stderr, flush=True)

    FORMS[form](predictions(load(model), arguments, top, refuse))
    if refused:
        sys.stdout.flush()
        sys.exit(1)


def predictions(predictor: Predictor, arguments: list[str], top: int, refuse: sources.Refuse) -> Iterator[Prediction]:
    """The predictions of all images that can be read, in order; the others are refused."""
    names: list[str] = []
    read: list[np.ndarray] = []
    for name, source in sources.expand(arguments, refuse):
        try:
            read.append(decoding.read(source, predictor.size, predictor.card.fit))
        except decoding.ImageError as error:
            refuse(name, str(error))
            continue
        names.append(name)
        if len(names) == BATCH:
            yield from _scored(predictor, names, read, top)
            names, read = [], []
    if names:
        yield from _scored(predictor, names, read, top)


def _scored(predictor: Predictor, names: list[str], read: list[np.ndarray], top: int) -> Iterator[Prediction]:
    probabilities = calibrated(predictor.predict(np.stack(read)), predictor.card.temperature)
    for name, row in zip(names, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        yield Prediction(name, [(predictor.card.class_names[label], float(row[label])) for label in order])


def load(model: str) -> Predictor:
    """The predictor of a `.keras` or `.onnx` file, or of models/MODEL: of the ONNX file, if it can be used and was made
    of the `.keras` file that is there, or if there is no other."""
    given = Path(model)
    if given.suffix == ".onnx":
        return onnx_file.read(given)
    if given.suffix == ".keras":
        return _by_keras(given)
    exported, trained = Path(f"models/{model}.onnx"), Path(f"models/{model}.keras")
    if exported.is_file() and (onnx_file.is_installed() or not trained.is_file()):
        predictor = onnx_file.read(exported)
        if not trained.is_file() or predictor.source == files.sha256(trained):
            return predictor
        note = f"note: {exported} was made of another {trained}, which is used; `python -m study export` renews it"
        print(note, file=sys.stderr)
    return _by_keras(trained)


def _by_keras(path: Path) -> Predictor:
    if not path.is_file():
        raise UserError(f"{path}: is missing; `dvc repro` makes it, `dvc pull {path}` gets it from a remote")
    runtime.begin_imports()
    from study.serving.keras_model import KerasModel

    runtime.end_imports()
    return KerasModel.read(path)
