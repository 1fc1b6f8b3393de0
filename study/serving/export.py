"""The command `export`: models as ONNX files, each compared with the model that it was made of."""

import numpy as np

from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.model_files import keras_file
from study.scoring.predict import predict
from study.serving import onnx_export, onnx_file

# The largest difference of a probability that rounding explains: of float32, and of a model that was trained in
# mixed_bfloat16, whose 8 binary digits the exported float32 does not repeat.
TOLERANCES = {"float32": 1e-3, "mixed_bfloat16": 0.1}


def main(names: list[str]) -> None:
    """Export the models of these names, and print how far their probabilities of validation images differ."""
    images = arrays.read_prepared().validation.images
    for name in names:
        difference, others = export(name, images)
        print(
            f"models/{name}.onnx: {len(images)} validation images, largest difference of a probability "
            f"{difference:.1e}, another class for {others}"
        )


def export(name: str, images: np.ndarray) -> tuple[float, int]:
    """Write models/NAME.onnx; the largest difference of a probability of the images, and how many change their class.

    Raises UserError, and leaves no file, if its probabilities are further from those of models/NAME.keras than rounding
    explains, or if an image changes its class although its two best probabilities are further apart than that.
    """
    trained = f"models/{name}.keras"
    model = keras_file.read(trained)
    precision = "mixed_bfloat16" if onnx_export.in_float32(model) is not model else "float32"
    tolerance = TOLERANCES[precision]
    with files.whole(f"models/{name}.onnx") as partial:
        onnx_export.write(partial, model, keras_file.read_card(trained, model), files.sha256(trained))
        difference, margins = compare(
            onnx_file.read(partial, name=f"models/{name}.onnx").predict(images), predict(model, images)
        )
        if not max(difference, margins.max(initial=0.0)) <= tolerance:
            raise UserError(
                f"models/{name}.onnx: gives other probabilities than {trained}: they differ by {difference:g}, and an "
                f"image with a margin of {margins.max(initial=0.0):g} changes its class; allowed: {tolerance:g}"
            )
    return difference, len(margins)


def compare(found: np.ndarray, expected: np.ndarray) -> tuple[float, np.ndarray]:
    """How far probabilities (N, C) are from the expected ones, and the margins of the images that change their class:
    the difference of their two best expected probabilities."""
    changed = found.argmax(axis=1) != expected.argmax(axis=1)
    second, best = np.sort(expected[changed], axis=1)[:, -2:].T
    return float(np.abs(found - expected).max()), best - second
