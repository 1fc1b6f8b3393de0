"""Intervals agree with the theory of the bootstrap and cover the true value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import pictures, sample
from sklearn.metrics import roc_auc_score

from study.scoring import intervals
from study.scoring.image_scores import image_scores
from study.scoring.scores import normalised

TRUE_ROC_AUC = 0.760250  # Φ(1/√2)


def two_normal_classes(rng: np.random.Generator, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of two classes whose normal scores lie one standard deviation apart."""
    labels = np.arange(count) % 2
    score = 1 / (1 + np.exp(-rng.normal(labels, 1.0)))
    return labels, np.stack([1 - score, score], axis=1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 5),
    levels=st.sampled_from([None, 1, 3]),
    at_once=st.sampled_from([1, 120, 10_000]),
)
def test_a_bootstrap_replicate_is_scikit_learns_score_of_the_drawn_images(seed, classes, levels, at_once):
    labels, probabilities = sample(seed, 60, classes, levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "AT_ONCE", at_once)
        found = intervals.bootstrap(labels, normalised(probabilities), replicates=3, seed=seed)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in range(classes)]
    rows = min(3, max(1, at_once // 60))
    expected = []
    for start in range(0, 3, rows):
        size = min(rows, 3 - start)
        times = [rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size) for images in members]
        for row in range(size):
            drawn = np.concatenate(
                [np.repeat(images, count[row]) for images, count in zip(members, times, strict=True)]
            )
            one_hot = labels[drawn][:, None] == np.arange(classes)
            expected.append(roc_auc_score(one_hot, normalised(probabilities)[drawn], average="macro"))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_bootstrap_interval_covers_the_true_value_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = intervals.interval(intervals.bootstrap(*two_normal_classes(rng), 200, seed=trial))
        covered += low <= TRUE_ROC_AUC <= high
    assert 180 <= covered <= 198


def test_the_closed_interval_covers_the_true_value_about_95_times_in_100():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        labels, probabilities = two_normal_classes(rng)
        images = image_scores(pictures(len(labels)), labels, probabilities)
        value = 1 - np.mean([images.false_positive_rate[labels == label].mean() for label in (0, 1)])
        low, high = intervals.around(value, images.shortfall, labels)
        covered += low <= TRUE_ROC_AUC <= high
    assert 364 <= covered <= 394


def test_the_closed_interval_is_symmetric_around_the_value():
    low, high = intervals.around(0.3, np.array([0.0, 1.0, 2.0, 4.0]), np.array([0, 0, 1, 1]))
    assert 0.3 - low == pytest.approx(high - 0.3)


def test_the_closed_interval_sums_the_variance_of_each_class_over_its_images():
    """Hand calculation: variances 0.5 and 1 of two and of three images."""
    _, high = intervals.around(0.0, np.array([0.0, 1.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1, 1]))
    assert high == pytest.approx(1.959964 * np.sqrt(0.5 / 2 + 1.0 / 3))


def test_a_class_of_one_image_adds_nothing_to_the_closed_interval():
    assert intervals.around(0.5, np.array([7.0, 1.0, 1.0]), np.array([0, 1, 1])) == (0.5, 0.5)


def test_the_same_seed_draws_the_same_replicates():
    data = sample(2, 300, 3)
    assert np.array_equal(intervals.bootstrap(*data, 50, seed=1), intervals.bootstrap(*data, 50, seed=1))


def test_replicates_of_two_models_over_the_same_images_are_paired():
    labels, probabilities = sample(2, 300, 3)
    one = intervals.bootstrap(labels, probabilities, 50, seed=1)
    low, high = intervals.interval(one - intervals.bootstrap(labels, probabilities**0.9, 50, seed=1))
    width = np.subtract(*intervals.interval(one)[::-1])
    assert high - low < width / 5


def test_the_interval_is_the_central_95_percent_of_the_replicates():
    assert intervals.interval(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))
