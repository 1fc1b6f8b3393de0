"""What a model file says beside its network: how images become its input, and its outputs predictions."""

import json
import math
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from study.data import arrays
from study.params.resizing import RESIZINGS, Resizing

CONFIG, METADATA = "config.json", "metadata.json"  # entries of a `.keras` file
CARD = "card"  # the key of METADATA


@dataclass(frozen=True)
class Card:
    """Training writes it into models/NAME.keras, so that the file alone predicts."""

    class_names: list[str]  # of the outputs, in order
    temperature: float  # that calibrates the probabilities: `probabilities.calibrated`
    fit: Resizing  # how an image gets the input's size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def check_outputs(self, classes: int) -> None:
        """Raise ValueError unless a model with this number of outputs fits."""
        if len(self.class_names) != classes:
            raise ValueError(f"it names {len(self.class_names)} classes and gives {classes} probabilities")


def read(path: str | Path) -> tuple[tuple[int, int], Card]:
    """Height and width of the images that a `.keras` file takes, and its card. Imports no Keras.

    Raises ValueError for another kind of model, and what zipfile and json raise for what is none.
    """
    with zipfile.ZipFile(path) as archive:
        network, metadata = (json.loads(archive.read(name)) for name in (CONFIG, METADATA))
    layers = [layer["config"] for layer in network["config"]["layers"] if layer["class_name"] == "InputLayer"]
    taken = " and ".join(f"{tuple(layer['batch_shape'])} {layer['dtype']}" for layer in layers)
    if not (size := re.fullmatch(r"\(None, (\d+), (\d+), 3\) uint8", taken)):
        raise ValueError(f"takes {taken}; allowed: (None, height, width, 3) uint8")
    return (int(size[1]), int(size[2])), checked(metadata.get(CARD))


def checked(content: Any) -> Card:
    """The card, as `to_dict` gave it. Raises ValueError if it is another."""
    keys = tuple(Card.__dataclass_fields__)
    if not isinstance(content, dict) or not content.keys() >= set(keys):
        raise ValueError(f"it lacks {', '.join(keys)}; training writes them into a model file")
    names, temperature, fit = (content[key] for key in keys)
    if not isinstance(names, list) or not all(isinstance(name, str) and arrays.is_name(name) for name in names):
        raise ValueError(f"its class names must be a list of names, each of {arrays.NAMES}")
    if not isinstance(temperature, float) or not 0 < temperature < math.inf:
        raise ValueError("its temperature must be a number above 0")
    if fit not in RESIZINGS:
        raise ValueError(f"its fit must be {' or '.join(RESIZINGS)}")
    return Card(names, temperature, fit)
