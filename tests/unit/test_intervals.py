"""Closed intervals agree with the bootstrap and with hand calculations, and hold the true value as often as said."""

import numpy as np
import pytest
from samples import bootstrap, varied
from scipy.special import logit, softmax
from scipy.stats import binomtest

from study.scoring import intervals, placements
from study.scoring.probabilities import normalised
from study.scoring.scores import class_roc_auc, point

CLASSES = 4
DATA = varied(CLASSES)
each_data = pytest.mark.parametrize("data", DATA.values(), ids=DATA)


def two_normal_classes(rng: np.random.Generator, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of two classes whose normal scores lie one standard deviation apart."""
    labels = np.arange(count) % 2
    score = 1 / (1 + np.exp(-rng.normal(labels, 1.0)))
    return labels, np.stack([1 - score, score], axis=1)


def shortfall(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return placements.shortfall(labels, placements.one_minus_placements(labels, normalised(probabilities)))


def of_roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    value = point(labels, probabilities)["roc_auc"]
    return intervals.of_roc_auc(value, shortfall(labels, probabilities), labels)


@each_data
def test_the_standard_deviation_of_a_roc_auc_is_the_bootstraps(data):
    labels, probabilities = data
    replicates = bootstrap(labels, normalised(probabilities))
    found = np.sqrt(intervals.sampling(shortfall(*data), labels).variance)
    assert found == pytest.approx(replicates.std(), rel=0.08)


@each_data
def test_the_standard_deviation_of_a_paired_difference_is_the_bootstraps(data):
    labels, probabilities = data
    noise = np.exp(np.random.default_rng(9).normal(scale=0.5, size=probabilities.shape))
    models = (normalised(probabilities), normalised(probabilities * noise))
    replicates = np.subtract(*(bootstrap(labels, model) for model in models))
    less = shortfall(labels, models[1]) - shortfall(labels, models[0])
    found = np.sqrt(intervals.sampling(less, labels).variance)
    assert found == pytest.approx(replicates.std(), rel=0.08)


@pytest.mark.parametrize("name", ["equal classes", "ties"])
def test_the_interval_of_a_roc_auc_far_from_1_is_that_of_the_bootstrap(name):
    labels, probabilities = DATA[name]
    expected = np.quantile(bootstrap(labels, normalised(probabilities)), [0.025, 0.975])
    np.testing.assert_allclose(of_roc_auc(labels, probabilities), expected, atol=0.004)


def test_the_variance_of_two_classes_is_delongs():
    """Their formula 5, from the definition: every pair of a positive and a negative."""
    labels, probabilities = two_normal_classes(np.random.default_rng(3), 60)
    score = probabilities[:, 1]
    above = score[labels == 1][:, None] > score[labels == 0][None, :]
    of_positives, of_negatives = above.mean(axis=1), above.mean(axis=0)
    expected = of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)
    assert intervals.sampling(shortfall(labels, probabilities), labels).variance == pytest.approx(expected)


@pytest.mark.parametrize("data", [DATA["equal classes"], DATA["ties in unequal classes"]], ids=["equal", "unequal"])
def test_the_standard_deviation_of_the_roc_auc_of_a_class_is_the_bootstraps(data):
    """One class against the others, whose images are drawn class by class as well."""
    labels, probabilities = data[0], normalised(data[1])
    rng = np.random.default_rng(4)
    members = [np.flatnonzero(labels == label) for label in range(CLASSES)]
    draws = (np.concatenate([rng.choice(images, len(images)) for images in members]) for _ in range(500))
    areas = [class_roc_auc(labels[drawn], probabilities[drawn])[0] for drawn in draws]
    column = placements.class_shortfalls(labels, placements.one_minus_placements(labels, probabilities))[:, 0]
    assert np.sqrt(intervals.sampling(column, labels).variance) == pytest.approx(np.std(areas), rel=0.12)


def test_the_variance_is_the_sum_over_the_classes_with_satterthwaites_degrees_of_freedom():
    """Hand calculation: variances 0.5 and 1 of two and of three images, with 1 and 2 degrees of freedom."""
    drawn = intervals.sampling(np.array([0.0, 1.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1, 1]))
    assert drawn.variance == pytest.approx(0.5 / 2 + 1.0 / 3)
    assert drawn.degrees_of_freedom == pytest.approx((1 / 4 + 1 / 3) ** 2 / ((1 / 4) ** 2 / 1 + (1 / 3) ** 2 / 2))


def test_contributions_of_values_to_their_mean_sum_to_it():
    labels, values = np.array([0, 0, 1, 1, 1]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    parts = intervals.of_mean(values, labels)
    assert sum(parts[labels == label].mean() for label in (0, 1)) == pytest.approx(0.6)


def test_the_interval_of_a_roc_auc_is_that_of_the_logit_less_its_bias():
    """Hand calculation: an area of 0.9 with a standard deviation of 0.03 has one of 1/3 on the logit scale. For the
    width, a guess adds a variance of 0.03 (1/50 + 1/50) over 98 degrees of freedom.
    """
    labels = np.repeat([0, 1], 50)
    part = np.tile([-1.0, 1.0], 25)
    variance = intervals.sampling(np.tile(part, 2), labels).variance
    low, high = intervals.of_roc_auc(0.9, np.tile(part, 2) * 0.03 / np.sqrt(variance), labels)
    assert logit(high) - logit(low) == pytest.approx(2 * 1.959964 * np.sqrt(0.03**2 + 0.03 * 2 / 50 / 98) / 0.09)
    assert (logit(high) + logit(low)) / 2 == pytest.approx(logit(0.9) - 0.5 * (1 / 3) ** 2 * 0.8)


@pytest.mark.parametrize("area", [0.001, 0.3, 0.5, 0.7, 0.999])
def test_the_interval_of_a_roc_auc_lies_between_0_and_1(area):
    fault = 2 * min(area, 1 - area)
    low, high = intervals.of_roc_auc(area, np.tile([0.0, fault], 6), np.repeat([0, 1], 6))
    assert 0 < low < area < high < 1


FEW = {
    "ten of one class": ([500, 10], None),
    "five of one class": ([500, 5], None),
    "ten of a class by itself": ([10, 100, 100, 100], 0),
    "five of a class by itself": ([5, 100, 100, 100], 0),
}


@pytest.mark.parametrize(("count", "label"), FEW.values(), ids=FEW)
def test_the_interval_of_a_roc_auc_holds_the_true_value_with_few_images_in_one_class(count, label):
    rng, labels, classes = np.random.default_rng(5), np.repeat(np.arange(len(count)), count), len(count)
    areas, bounds = [], []
    for _ in range(1000):
        probabilities = softmax(1.6 * np.eye(classes)[labels] + rng.normal(size=(len(labels), classes)), axis=1)
        missed = placements.one_minus_placements(labels, probabilities)
        columns = placements.class_shortfalls(labels, missed)
        each = 1 - np.array([missed[labels == one, one].mean() for one in range(classes)])
        lost = columns.mean(axis=1) if label is None else columns[:, label]
        areas.append(each.mean() if label is None else each[label])
        bounds.append(intervals.of_roc_auc(areas[-1], lost, labels, label))
    low, high = np.transpose(bounds)
    true = np.mean(areas)
    assert 0.91 <= ((low <= true) & (true <= high)).mean() <= 0.99


@pytest.mark.parametrize("classes", [2, 10])
def test_the_unseen_variance_is_that_of_a_guess_over_all_degrees_of_freedom(classes):
    """Hand calculation: each placement of a guess has a variance of 1/12."""
    labels = np.arange(100 * classes) % classes
    shares = 1.0 if classes == 2 else 2 / classes  # of the placements of an image in the macro average
    expected = classes * (shares**2 / 100) / 12 / (99 * classes)
    assert intervals.unseen_variance(0.5, labels) == pytest.approx(expected)


def test_fewer_than_five_images_of_a_class_give_a_roc_auc_no_interval():
    lost = np.random.default_rng(0).random(24)
    for count, has_one in (([20, 4], False), ([19, 5], True)):
        labels = np.repeat([0, 1], count)
        assert intervals.enough(labels) == has_one
        assert (intervals.of_roc_auc(0.8, lost, labels) is not None) == has_one
        assert (intervals.of_mean_roc_auc(0.8, lost, labels, 1e-4, 2.0) is not None) == has_one
        assert intervals.of_log_loss(lost, labels)


CERTAIN = {"1": (1.0, 0.025 ** (1 / 10), 1.0), "0": (0.0, 0.0, 1 - 0.025 ** (1 / 10))}


@pytest.mark.parametrize(("value", "low", "high"), CERTAIN.values(), ids=CERTAIN)
def test_an_area_at_the_end_has_a_bound_by_the_rule_of_three_for_pairs(value, low, high):
    """Twenty images form ten pairs."""
    labels = np.repeat([0, 1], 10)
    assert intervals.of_roc_auc(value, np.zeros(20), labels) == pytest.approx((low, high))


def test_a_constant_guess_has_an_interval_around_a_half():
    labels = np.repeat([0, 1], 10)
    low, high = of_roc_auc(labels, np.full((20, 2), 0.5))
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - low == pytest.approx(1 - 0.025 ** (1 / 10))


def test_images_in_unequal_classes_form_pairs_by_the_smallest():
    assert intervals.unseen_pairs(np.repeat([0, 1, 2], [100, 4, 50])) == pytest.approx(1 - 0.025 ** (1 / 6))


@pytest.mark.parametrize("hits", [0, 1, 7, 20], ids="{} of 20".format)
def test_the_interval_of_an_accuracy_is_wilsons(hits):
    expected = binomtest(hits, 20).proportion_ci(method="wilson")
    found = intervals.of_accuracy(np.arange(20) < hits)
    np.testing.assert_allclose(found, (expected.low, expected.high), atol=1e-6)


def test_the_interval_of_a_log_loss_holds_the_true_value_about_95_times_in_100():
    rng = np.random.default_rng(2)
    labels = np.arange(100) % 2
    bounds = np.array([intervals.of_log_loss(rng.gamma(2.0, 1.0, 100), labels) for _ in range(400)])
    assert 364 <= ((bounds[:, 0] <= 2.0) & (bounds[:, 1] >= 2.0)).sum() <= 394


def test_a_log_loss_of_0_has_a_bound_above():
    low, high = intervals.of_log_loss(np.zeros(20), np.arange(20) % 2)
    assert low == 0.0
    assert high == pytest.approx(intervals.HIGHEST_LOSS * (1 - 0.025 ** (1 / 20)))


def test_without_noise_of_seeds_the_interval_of_a_mean_is_that_of_one_model():
    labels, probabilities = DATA["equal classes"]
    value, lost = point(labels, probabilities)["roc_auc"], shortfall(labels, probabilities)
    one, mean = intervals.of_roc_auc(value, lost, labels), intervals.of_mean_roc_auc(value, lost, labels, 0.0, 3.0)
    np.testing.assert_allclose(mean, one, rtol=1e-6)


def test_an_interval_of_a_mean_that_counts_images_and_seeds_holds_the_true_value_in_95_of_100_draws():
    """The noise of the seeds is estimated from four trainings; each image adds a normal shortfall."""
    rng, labels = np.random.default_rng(0), np.arange(200) % 2
    sampling_sd, seed_sd, true, draws, held = 0.01, 0.02, 0.9, 2000, 0
    for _ in range(draws):
        lost = rng.normal(0.0, sampling_sd * 100 / np.sqrt(200), 200)
        seeds = rng.normal(0.0, seed_sd, 4)
        value = true - lost[labels == 0].mean() - lost[labels == 1].mean() + seeds.mean()
        low, high = intervals.of_mean_roc_auc(value, lost, labels, seeds.var(ddof=1) / 4, 3.0)
        held += low <= true <= high
    assert binomtest(held, draws, 0.95).pvalue > 0.001 or 0.94 < held / draws < 0.97
