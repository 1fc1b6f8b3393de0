"""Models as ONNX files, run by ONNX Runtime. Imports neither Keras nor TensorFlow. Needs the extra `onnx`."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.base import files, machine
from study.base.runtime import UserError, first_line, lack_of_memory
from study.model_files import card
from study.model_files.card import Card

if TYPE_CHECKING:
    import onnxruntime

INPUT, OUTPUT = "images", "probabilities"
SOURCE = "keras_sha256"  # the entry of the metadata that says of which `.keras` file it was made
BATCH = 32  # images
ERRORS = 3  # the severity below which ONNX Runtime is silent


@dataclass(frozen=True)
class OnnxModel:
    session: "onnxruntime.InferenceSession"
    size: tuple[int, int]  # height and width of its images
    card: Card
    source: str

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) float32 of images (N, H, W, 3) uint8."""
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([self.session.run([OUTPUT], {INPUT: batch})[0] for batch in batches])


def is_installed() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None


def missing(error: ImportError) -> UserError:
    """What to say if a package of the extra is not installed."""
    return UserError(f"ONNX files need the packages of the extra onnx, and {error.name} is missing; run `make extras`")


def read(path: str | Path) -> OnnxModel:
    """Load what `onnx_export.write` wrote. Raises UserError if it is damaged or another kind of model."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing(error) from None
    onnxruntime.set_default_logger_severity(ERRORS)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS
    options.intra_op_num_threads = machine.cores()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (images,), (probabilities,) = session.get_inputs(), session.get_outputs()
        shapes = [images.name, images.type, *images.shape[3:], probabilities.name, probabilities.type]
        if shapes != [INPUT, "tensor(uint8)", 3, OUTPUT, "tensor(float)"]:
            raise ValueError(f"it has {shapes} in place of images and probabilities")
        _, height, width, _ = images.shape
        content = session.get_modelmeta().custom_metadata_map
        own = {key: json.loads(value) for key, value in content.items() if key in Card.__dataclass_fields__}
        own_card = card.checked(own)
        own_card.check_outputs(probabilities.shape[1])
        return OnnxModel(session, (height, width), own_card, content.get(SOURCE, ""))
    except Exception as error:  # ONNX Runtime raises many types
        trained = Path(path).with_suffix(".keras")
        remedy = f"; `python -m study export {trained}` makes it again" if trained.is_file() else ""
        reason = f"cannot be loaded ({lack_of_memory(error) or first_line(error)}){remedy}"
        raise files.unreadable(path, reason) from None
