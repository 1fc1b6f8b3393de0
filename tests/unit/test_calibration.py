"""A temperature is found again, and the calibration error is that of the bins."""

import numpy as np
import pytest
from samples import sample
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from study.scoring import calibration
from study.scoring.probabilities import calibrated


def drawn(temperature: float, count: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and what a model claims that is off by a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(count, 5))
    true = softmax(logits, axis=1)
    labels = (true.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return labels, softmax(logits / temperature, axis=1)


def hits_of(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)


@pytest.mark.parametrize("off", [0.4, 1.0, 2.5], ids=["too sure", "calibrated", "too unsure"])
def test_the_temperature_undoes_a_known_one(off):
    assert calibration.temperature(*drawn(off)) == pytest.approx(1 / off, rel=0.08)


def test_a_temperature_of_1_leaves_the_probabilities():
    _, probabilities = sample(0, 300, 4)
    np.testing.assert_allclose(calibrated(probabilities, 1.0), probabilities, atol=1e-6)


def test_a_model_without_fault_may_be_as_sure_as_it_likes():
    labels = np.arange(6) % 3
    probabilities = np.eye(3)[labels] * 0.9 + 0.05
    found = calibration.temperature(labels, probabilities)
    assert calibration.TEMPERATURES[0] <= found < 0.5


def test_a_probability_of_0_has_a_temperature():
    assert np.isfinite(calibration.temperature(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]])))


def test_bins_are_scikit_learns():
    hits, confidence = hits_of(*drawn(0.5))
    rows = calibration.reliability(hits, confidence)
    accuracy, mean = calibration_curve(hits, confidence, n_bins=calibration.BINS)
    np.testing.assert_allclose([row.accuracy for row in rows], accuracy)
    np.testing.assert_allclose([row.confidence for row in rows], mean)


def test_rows_of_bins_hold_all_images_and_the_calibration_error():
    hits, confidence = hits_of(*drawn(0.5))
    rows = calibration.reliability(hits, confidence)
    total = sum(row.images for row in rows)
    error = sum(row.images * abs(row.accuracy - row.confidence) for row in rows) / total
    assert (total, error) == (2000, pytest.approx(calibration.expected_calibration_error(hits, confidence).value))


def test_a_confidence_of_1_stands_in_the_last_bin_and_an_edge_in_the_lower():
    rows = calibration.reliability(np.ones(2, bool), np.array([1.0, 0.5]), bins=2)
    assert [(row.low, row.high, row.images) for row in rows] == [(0.0, 0.5, 1), (0.5, 1.0, 1)]


def test_the_interval_of_a_calibrated_model_reaches_0():
    """The error itself cannot: bins of few images differ from their confidence by chance."""
    trials = [calibration.expected_calibration_error(*hits_of(*drawn(1.0, 200, seed))) for seed in range(100)]
    assert min(found.value for found in trials) > 0
    assert np.mean([found.low == 0 for found in trials]) >= 0.95


def test_a_calibrated_model_shows_the_error_that_is_expected_of_it():
    trials = [calibration.expected_calibration_error(*hits_of(*drawn(1.0, 200, seed))) for seed in range(100)]
    found, expected = (np.mean([getattr(trial, key) for trial in trials]) for key in ("value", "calibrated"))
    assert found == pytest.approx(expected, rel=0.1)


def test_the_interval_of_an_overconfident_model_holds_its_error_95_times_in_100():
    true = calibration.expected_calibration_error(*hits_of(*drawn(0.4, 100_000))).value
    trials = [calibration.expected_calibration_error(*hits_of(*drawn(0.4, 500, seed))) for seed in range(100)]
    assert np.mean([found.low <= true <= found.high for found in trials]) >= 0.95
