"""The command `predict`: the classes of image files by one model file.

By ONNX Runtime it answers in a tenth of the time that Keras takes, which is imported once the first images have been
read.
"""

import sys
from collections.abc import Iterator

import numpy as np

from study.base.runtime import UserError, one_line
from study.scoring.probabilities import calibrated
from study.serving import models, sources
from study.serving.forms import FORMS, Prediction, shown
from study.serving.keras_model import KerasModel
from study.serving.onnx_file import OnnxModel
from study.sources import decoding

Model = OnnxModel | KerasModel
BATCH = 32  # images that are read before they are scored and printed


def main(arguments: list[str], model: str, top: int, form: str) -> None:
    """Print the `top` classes of each image; a line on stderr for each that has none, and then exit code 1."""
    if top < 1:
        raise UserError(f"--top is {top}; allowed: 1 or more")
    refused: list[str] = []

    def refuse(name: str, fault: str) -> None:
        refused.append(name)
        sys.stdout.flush()
        print(f"error: {shown(name)}: {one_line(fault)}", file=sys.stderr, flush=True)

    FORMS[form](predictions(models.load(model), arguments, top, refuse))
    if refused:
        sys.stdout.flush()
        sys.exit(1)


def predictions(model: Model, arguments: list[str], top: int, refuse: sources.Refuse) -> Iterator[Prediction]:
    """The predictions of all images that can be read, in order; the others are refused."""
    names: list[str] = []
    read: list[np.ndarray] = []
    for name, source in sources.expand(arguments, refuse):
        try:
            read.append(decoding.read(source, model.size, model.card.fit))
        except decoding.ImageError as error:
            refuse(name, str(error))
            continue
        names.append(name)
        if len(names) == BATCH:
            yield from _scored(model, names, read, top)
            names, read = [], []
    if names:
        yield from _scored(model, names, read, top)


def _scored(model: Model, names: list[str], read: list[np.ndarray], top: int) -> Iterator[Prediction]:
    probabilities = calibrated(model.predict(np.stack(read)), model.card.temperature)
    for name, row in zip(names, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        yield Prediction(name, [(model.card.class_names[label], float(row[label])) for label in order])
