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
        trained = models.find(name).with_suffix(models.TRAINED)
        difference, others = export(trained, images)
        print(
            f"{trained.with_suffix(models.EXPORTED)}: {len(images)} validation images, largest difference of a "
            f"probability {difference:.1e}, another class for {others}"
        )


def export(trained: Path, images: np.ndarray) -> tuple[float, int]:
    """Write the ONNX file beside a `.keras` file; the largest difference of a probability of the images, and how many
    change their class.

    Raises UserError, and leaves no file, if the difference is larger than rounding explains, or if the images do not
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
        probabilities, expected = onnx_file.read(partial).predict(images), model.predict(images)
        difference = float(np.abs(probabilities - expected).max())
        if not difference <= tolerance:
            raise UserError(
                f"{exported}: gives other probabilities than {trained}: they differ by {difference:g}; allowed: "
                f"{tolerance:g}"
            )
    return difference, int((probabilities.argmax(axis=1) != expected.argmax(axis=1)).sum())
