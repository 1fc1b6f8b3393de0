"""Scores agree with scikit-learn's."""

import numpy as np
import pytest
from samples import sample, unequal
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from study.scoring import scores

EXPECTED = {
    "roc_auc": lambda labels, probabilities: roc_auc_score(labels, probabilities, multi_class="ovr"),
    "accuracy": lambda labels, probabilities: accuracy_score(labels, probabilities.argmax(axis=1)),
    "log_loss": log_loss,
}
DATA = {"equal classes": sample(3, 200, 4), "unequal classes": unequal(80, 4), "ties": sample(3, 200, 4, levels=1)}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("score", EXPECTED)
def test_a_score_is_scikit_learns(score, data):
    labels, probabilities = data
    assert scores.point(labels, probabilities)[score] == pytest.approx(EXPECTED[score](*data), abs=1e-6)


def test_a_probability_of_0_for_the_right_class_costs_a_finite_loss():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    expected = log_loss([0, 1], probabilities.astype(np.float64))
    assert scores.point(np.array([0, 1]), probabilities)["log_loss"] == pytest.approx(expected)


def test_a_record_is_flat_and_in_order():
    record = scores.scores(*sample(1, 300, 3))
    assert list(record) == ["roc_auc", "roc_auc_low", "roc_auc_high", "accuracy", "log_loss"]


def test_a_record_of_few_images_in_a_class_has_no_interval():
    assert list(scores.scores(*sample(1, 12, 3))) == ["roc_auc", "accuracy", "log_loss"]
