"""The weights of a block's repeats: models/repeats/MODEL.npz.

Repeat 0 is the model itself, in models/MODEL.keras; the others have its network and their own weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from study.base import files
from study.base.runtime import UserError

if TYPE_CHECKING:  # who asks for a path needs no Keras
    import keras


@dataclass(frozen=True)
class Repeats:
    """The seeds of all repeats, and the weights of those after repeat 0 as `Model.get_weights` gives them."""

    seeds: list[int]
    weights: list[list[np.ndarray]]


def path(model: str) -> str:
    return f"models/repeats/{model}.npz"


def write(model: str, repeats: Repeats) -> None:
    arrays = {
        f"{repeat}/{index:05d}": array
        for repeat, weights in enumerate(repeats.weights, start=1)
        for index, array in enumerate(weights)
    }
    files.write_npz(path(model), seeds=np.array(repeats.seeds), **arrays)


def read(model: str) -> Repeats:
    """What `write` wrote. Raises UserError if the file is missing or damaged."""
    arrays = files.read_npz(path(model))
    seeds = arrays.pop("seeds", np.array([])).tolist()
    weights = [[arrays[key] for key in sorted(arrays) if key.startswith(f"{n}/")] for n in range(1, len(seeds))]
    return Repeats(seeds, weights)


def each(name: str, model: "keras.Model", repeats: Repeats) -> Iterator["keras.Model"]:
    """The model, then the model with the weights of each repeat; at the end it has its own again.

    Raises UserError if the weights do not fit it.
    """
    yield model
    if not repeats.weights:
        return
    own = model.get_weights()
    for weights in repeats.weights:
        try:
            model.set_weights(weights)
        except ValueError:
            raise UserError(f"{path(name)}: does not fit models/{name}.keras; {files.RESTORE_CACHED}") from None
        yield model
    model.set_weights(own)
