"""What a model file says beside its network: how images become its input, and its outputs predictions."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from study.data import arrays
from study.params.resizing import RESIZINGS, Resizing


@dataclass(frozen=True)
class Card:
    """Training writes it into models/NAME.keras, so that the file alone predicts."""

    class_names: list[str]  # of the outputs, in order
    temperature: float  # that calibrates the probabilities: `probabilities.calibrated`
    fit: Resizing  # how an image gets the input's size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def checked(content: Any, classes: int) -> Card:
    """The card, as `to_dict` gave it, of a model with this number of outputs. Raises ValueError if it is another."""
    keys = tuple(Card.__dataclass_fields__)
    if not isinstance(content, dict) or not content.keys() >= set(keys):
        raise ValueError(f"it lacks {', '.join(keys)}; training writes them into a model file")
    names, temperature, fit = (content[key] for key in keys)
    if not isinstance(names, list) or not all(isinstance(name, str) and arrays.is_name(name) for name in names):
        raise ValueError(f"its class names must be a list of names, each of {arrays.NAMES}")
    if len(names) != classes:
        raise ValueError(f"it names {len(names)} classes and gives {classes} probabilities")
    if not isinstance(temperature, float) or not 0 < temperature < math.inf:
        raise ValueError("its temperature must be a number above 0")
    if fit not in RESIZINGS:
        raise ValueError(f"its fit must be {' or '.join(RESIZINGS)}")
    return Card(names, temperature, fit)
