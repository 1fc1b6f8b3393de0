"""A model for other programs, compared with the one that it was made of."""

import numpy as np

from study.base import files
from study.base.runtime import UserError
from study.evaluation import test_split
from study.model_files import keras_file
from study.serving import onnx_export, onnx_file

# The largest difference of a probability that rounding explains: of float32, and of a model that was trained in
# mixed_bfloat16, whose 8 binary digits the exported float32 does not repeat.
TOLERANCES = {"float32": 1e-3, "mixed_bfloat16": 0.1}


def export(name: str, threads: int | None) -> None:
    """Write models/NAME.onnx and metrics/onnx/NAME.json, which says how far its probabilities of the test images are
    from those of models/NAME.keras. Nothing is chosen by them.

    Raises UserError where they are further away than rounding explains, or where an image gets another class though
    its two best probabilities are further apart than that.
    """
    trained, exported = f"models/{name}.keras", f"models/{name}.onnx"
    model = keras_file.read(trained)
    onnx_export.write(exported, model, keras_file.read_card(trained, model), files.sha256(trained))
    images = test_split.read()[0].images
    expected = files.read_npz(f"data/predictions/{name}.npz", "probabilities")["probabilities"]
    record = comparison(onnx_file.read(exported, threads).predict(images), expected)
    precision = "mixed_bfloat16" if onnx_export.in_float32(model) is not model else "float32"
    difference, tolerance = record["largest_difference"], TOLERANCES[precision]
    if not difference <= tolerance:
        raise UserError(
            f"{exported}: a probability differs by {difference:g} from that of {trained}; allowed: {tolerance:g}"
        )
    if record["largest_margin"] > tolerance:
        raise UserError(
            f"{exported}: gives another class than {trained} to an image whose two best probabilities there differ by "
            f"{record['largest_margin']:g}; allowed: {tolerance:g}"
        )
    files.write_json(f"metrics/onnx/{name}.json", record | {"precision": precision})
    print(
        f"{name}: {record['images']} test images, largest difference of a probability {difference:g}, "
        f"another class for {record['other_classes']}"
    )


def comparison(found: np.ndarray, expected: np.ndarray) -> dict[str, int | float]:
    """How far probabilities (N, C) are from the expected ones, how many images get another class, and the largest
    margin of these: the difference of the two best expected probabilities of one image; 0 where there is none."""
    is_other = found.argmax(axis=1) != expected.argmax(axis=1)
    second, best = np.sort(expected[is_other], axis=1)[:, -2:].T
    return {
        "images": len(expected),
        "largest_difference": float(f"{np.abs(found - expected).max():.1e}"),
        "other_classes": int(is_other.sum()),
        "largest_margin": float(f"{(best - second).max(initial=0):.1e}"),
    }
