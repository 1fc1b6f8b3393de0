"""A `.keras` file that predicts."""

import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from study.base.runtime import UserError
from study.model_files import keras_file
from study.model_files.card import Card
from study.scoring.predict import predict


@dataclass(frozen=True)
class KerasModel:
    model: keras.Model
    size: tuple[int, int]  # height and width of its images
    card: Card

    @classmethod
    def read(cls, path: Path) -> "KerasModel":
        """Raises UserError if the file cannot be loaded, lacks a card or is another kind of model."""
        model = keras_file.read(path)
        taken = [f"{tuple(given.shape)} {given.dtype}" for given in model.inputs]
        if len(taken) != 1 or not re.fullmatch(r"\(None, \d+, \d+, 3\) uint8", taken[0]):
            raise UserError(f"{path}: takes {' and '.join(taken)}; allowed: (None, height, width, 3) uint8")
        return cls(model, model.inputs[0].shape[1:3], keras_file.read_card(path, model))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) float32 of images (N, H, W, 3) uint8."""
        return predict(self.model, images)
