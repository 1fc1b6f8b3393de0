"""The command `export`: models as ONNX files, each compared with the model that it was made of."""

from pathlib import Path

import numpy as np

from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.serving import models, onnx_export, onnx_file
from study.serving.keras_model import KerasModel

# The largest difference of a probability that rounding explains: of float32, and of a model that was trained in
# mixed_bfloat16, whose 8 binary digits the exported float32 does not repeat.
TOLERANCES = {"float32": 1e-3, "mixed_bfloat16": 0.1}


def main(names: list[str]) -> None:
    """Export the models of these names, and print how far their probabilities of validation images differ."""
    images = arrays.read_prepared().validation.images
    for name in names:
        place = models.find(name.removesuffix(models.EXPORTED))
        trained = place if place.suffix == models.TRAINED else Path(f"{place}{models.TRAINED}")
        difference, others = export(trained, images)
        print(
            f"{trained.with_suffix(models.EXPORTED)}: {len(images)} validation images, largest difference of a "
            f"probability {difference:.1e}, another class for {others}"
        )


def export(trained: Path, images: np.ndarray) -> tuple[float, int]:
    """Write the ONNX file beside a `.keras` file; the largest difference of a probability of the images, and how many
    change their class.

    Raises UserError, and leaves no file, if its probabilities are further from the model's than rounding explains, if
    an image changes its class although its two best probabilities are further apart than that, or if the images do not
    fit.
    """
    model, exported = KerasModel.read(trained), trained.with_suffix(models.EXPORTED)
    if model.size != images.shape[1:3]:
        raise UserError(
            f"{trained}: takes images of {model.size}, and {arrays.PREPARED}, with which an export is checked, has "
            f"{images.shape[1:3]}; run `dvc repro`"
        )
    precision = "mixed_bfloat16" if onnx_export.in_float32(model.network) is not model.network else "float32"
    tolerance = TOLERANCES[precision]
    with files.whole(exported) as partial:
        onnx_export.write(partial, model.network, model.card, files.sha256(trained))
        difference, margins = compare(onnx_file.read(partial, name=exported).predict(images), model.predict(images))
        if not max(difference, margins.max(initial=0.0)) <= tolerance:
            raise UserError(
                f"{exported}: gives other probabilities than {trained}: they differ by {difference:g}, and an image "
                f"with a margin of {margins.max(initial=0.0):g} changes its class; allowed: {tolerance:g}"
            )
    return difference, len(margins)


def compare(found: np.ndarray, expected: np.ndarray) -> tuple[float, np.ndarray]:
    """How far probabilities (N, C) are from the expected ones, and the margins of the images that change their class:
    the difference of their two best expected probabilities."""
    changed = found.argmax(axis=1) != expected.argmax(axis=1)
    second, best = np.sort(expected[changed], axis=1)[:, -2:].T
    return float(np.abs(found - expected).max()), best - second
