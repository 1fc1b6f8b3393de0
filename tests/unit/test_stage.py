"""What the stage of a training records of the trained model."""

from types import SimpleNamespace

import numpy as np
import pytest

from study.scoring import calibration
from study.training import stage


def unsure(images: np.ndarray) -> np.ndarray:
    """Probabilities of two classes that follow the brightness, always right and never sure."""
    light = 0.6 * (images.mean(axis=(1, 2, 3)) > 127)
    return np.stack([0.8 - light, 0.2 + light], axis=1).astype(np.float32)


def test_the_validation_scores_hold_the_temperature_of_the_predictions(prepared):
    record = stage.validation_scores(SimpleNamespace(predict_on_batch=unsure), SimpleNamespace(prepared=prepared))
    expected = calibration.temperature(prepared.validation.labels, unsure(prepared.validation.images))
    assert list(record)[-2:] == ["log_loss", "temperature"]
    assert record["temperature"] == pytest.approx(expected, abs=1e-6)
