"""Scores agree with scikit-learn, intervals with the theory of the bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from stages.lib import scoring


def sample(seed: int, count: int, classes: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that lean to them; `levels` rounds the scores, so that many tie."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    logits = rng.normal(size=(count, classes)) + np.eye(classes)[labels]
    if levels:
        logits = np.round(logits * levels) / levels
    odds = np.exp(logits)
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5), levels=st.sampled_from([None, 1, 3]))
def test_a_bootstrap_replicate_is_scikit_learns_score_of_the_drawn_images(seed, classes, levels):
    labels, probabilities = sample(seed, 60, classes, levels)
    found = scoring.bootstrap_roc_auc(labels, probabilities, replicates=2, seed=seed)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in range(classes)]
    normal = probabilities.astype(np.float64) / probabilities.astype(np.float64).sum(axis=1, keepdims=True)
    for area in found:
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        one_hot = labels[drawn][:, None] == np.arange(classes)
        assert area == pytest.approx(roc_auc_score(one_hot, normal[drawn], average="macro"), abs=1e-12)


def test_point_scores_are_scikit_learns():
    labels, probabilities = sample(3, 200, 4)
    found = scoring.point_scores(labels, probabilities)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-6)
    assert found["accuracy"] == accuracy_score(labels, probabilities.argmax(axis=1))
    assert found["log_loss"] == pytest.approx(log_loss(labels, probabilities), abs=1e-6)


def test_the_interval_covers_the_true_value_about_95_times_in_100():
    """Two classes, normal scores one standard deviation apart: the true ROC-AUC is Φ(1/√2) = 0.7602."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        labels = np.arange(200) % 2
        score = 1 / (1 + np.exp(-rng.normal(labels, 1.0)))
        low, high = scoring.interval(
            scoring.bootstrap_roc_auc(labels, np.stack([1 - score, score], axis=1), 200, seed=trial)
        )
        covered += low <= 0.760250 <= high
    assert 180 <= covered <= 198


def test_a_record_is_flat_and_its_interval_holds_the_score():
    record = scoring.scores(*sample(1, 300, 3), replicates=200, seed=5)
    assert list(record) == ["roc_auc", "roc_auc_low", "roc_auc_high", "accuracy", "log_loss"]
    assert record["roc_auc_low"] < record["roc_auc"] < record["roc_auc_high"]


def test_replicates_of_two_models_over_the_same_images_are_paired():
    labels, probabilities = sample(2, 300, 3)
    one = scoring.bootstrap_roc_auc(labels, probabilities, 50, seed=1)
    assert np.array_equal(one, scoring.bootstrap_roc_auc(labels, probabilities, 50, seed=1))
    low, high = scoring.interval(one - scoring.bootstrap_roc_auc(labels, probabilities**0.9, 50, seed=1))
    width = np.subtract(*scoring.interval(one)[::-1])
    assert high - low < width / 5
