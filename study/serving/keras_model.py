"""A `.keras` file that predicts. What can be checked without Keras is checked before Keras is imported."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.base import runtime
from study.base.runtime import UserError, first_line
from study.model_files import card
from study.model_files.card import Card

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class KerasModel:
    path: Path
    size: tuple[int, int]  # height and width of its images
    card: Card

    @classmethod
    def read(cls, path: Path) -> "KerasModel":
        """Raises UserError if the file cannot be loaded, lacks a card or is another kind of model."""
        try:
            return cls(path, *card.read(path))
        except Exception as error:  # zipfile and json raise many types
            load(path)  # if Keras cannot load it, that is the fault to name
            raise UserError(f"{path}: {first_line(error)}") from None

    @functools.cached_property
    def network(self) -> "keras.Model":
        """Raises UserError if Keras cannot load it, or if its outputs are not the classes of its card."""
        network = load(self.path)
        try:
            self.card.check_outputs(network.output_shape[-1])
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from None
        return network

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) float32 of images (N, H, W, 3) uint8."""
        network = self.network
        from study.scoring.predict import predict  # it imports Keras

        return predict(network, images)


def load(path: Path) -> "keras.Model":
    runtime.begin_imports()
    from study.model_files import keras_file

    runtime.end_imports()
    return keras_file.read(path)
