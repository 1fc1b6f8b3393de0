"""Two questions about two models, each with its noise; and many comparisons at once."""

from dataclasses import replace

import numpy as np
import pytest
from samples import ranked
from scipy import stats

from study.evaluation.seeds import Noise
from study.report import differences
from study.report.differences import Answer, Pair
from study.report.seed_noise import Training, seed_noise
from study.scoring import intervals

LABELS = np.repeat([0, 1], 50)
CONTRIBUTIONS = np.random.default_rng(0).normal(size=100)
DRAWN = intervals.sampling(CONTRIBUTIONS, LABELS)


def noise(variance: float, degrees: float, *measured: str) -> Noise:
    return Noise(variance, degrees, True, "", measured)


def test_the_first_answer_of_one_class_is_students_paired_test():
    """Two classes of which one does not vary."""
    contributions = np.where(LABELS == 0, CONTRIBUTIONS, 1.0)
    expected = stats.ttest_1samp(contributions[LABELS == 0], 0.0)
    value = float(contributions[LABELS == 0].mean())
    answer = differences.shipped(value, contributions, LABELS)
    assert answer.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert (answer.low, answer.high) == (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))


def test_the_second_answer_of_seeds_alone_is_welchs_test():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.9, 0.01, 4), rng.normal(0.88, 0.03, 6)
    expected = stats.ttest_ind(one, other, equal_var=False)
    trainings = [
        Training(len(areas), noise(areas.var(ddof=1), len(areas) - 1, name))
        for areas, name in ((one, "a"), (other, "b"))
    ]
    answer = differences.retrained(one.mean() - other.mean(), np.zeros(100), LABELS, *trainings)
    assert answer.p == pytest.approx(expected.pvalue)


def test_one_estimate_for_both_models_keeps_its_degrees_of_freedom():
    """Student's test of two groups with a pooled variance."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.9, 0.01, 5), rng.normal(0.88, 0.01, 5)
    pooled = noise((one.var(ddof=1) + other.var(ddof=1)) / 2, 8, "a", "b")
    answer = differences.retrained(
        one.mean() - other.mean(), np.zeros(100), LABELS, Training(5, pooled), Training(5, pooled)
    )
    assert answer.p == pytest.approx(stats.ttest_ind(one, other).pvalue)


def test_noises_with_a_training_in_common_have_the_degrees_of_freedom_of_the_less_certain():
    few, many = noise(1.0, 2, "a"), noise(1.0, 9, "a", "b")
    answer = differences.retrained(2.0, np.zeros(100), LABELS, Training(2, few), Training(2, many))
    assert answer.p == pytest.approx(2 * stats.t.sf(2.0, 2))


def test_two_revisions_of_a_model_have_two_estimates_once_their_names_differ():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.9, 0.01, 3), rng.normal(0.88, 0.03, 3)
    before, after = (noise(areas.var(ddof=1), 2, "cnn2") for areas in (one, other))
    apart = replace(after, measured=tuple(f"after: {name}" for name in after.measured))
    answer = differences.retrained(
        one.mean() - other.mean(), np.zeros(100), LABELS, Training(3, before), Training(3, apart)
    )
    assert answer.p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_a_model_less_steady_than_its_family_is_told_from_itself_in_5_percent_of_cases_at_most():
    """Two revisions of three repeats each; the other model of the family hardly varies."""
    rng, trials = np.random.default_rng(2), 500
    steady = {"raw_variance": 1e-6, "sampling_variance": 0.0, "degrees_of_freedom": 6}
    families, false = {"unsteady": "cnn", "steady": "cnn"}, 0
    for areas in rng.normal(0.9, 0.01, (trials, 2, 3)):
        trainings = []
        for revision, repeats in enumerate(areas):
            own = {"raw_variance": repeats.var(ddof=1), "sampling_variance": 0.0, "degrees_of_freedom": 2}
            found = seed_noise("unsteady", families, {"unsteady": own, "steady": steady})
            measured = tuple(f"{revision}: {name}" for name in found.measured)
            trainings.append(Training(3, replace(found, measured=measured)))
        value = areas[0].mean() - areas[1].mean()
        false += differences.retrained(value, np.zeros(100), LABELS, *trainings).p < intervals.LEVEL
    assert false / trials <= 0.05


def test_the_second_answer_adds_the_noise_of_seeds_over_the_repeats():
    many = noise(0.3, 1e9, "a")
    answer = differences.retrained(
        0.1, CONTRIBUTIONS, LABELS, Training(3, many), Training(1, replace(many, measured=("b",)))
    )
    half = 1.959964 * np.sqrt(DRAWN.variance + 0.3 / 3 + 0.3)
    assert (answer.high - answer.low) / 2 == pytest.approx(half, rel=0.02)


def test_the_second_answer_is_unknown_where_the_noise_is():
    assert differences.retrained(0.1, CONTRIBUTIONS, LABELS, Training(1, None), Training(3, noise(0.1, 2, "a"))) is None


def test_the_p_value_reaches_5_percent_where_the_interval_reaches_0():
    half = differences.shipped(0.0, CONTRIBUTIONS, LABELS).high
    answer = differences.shipped(half, CONTRIBUTIONS, LABELS)
    assert (answer.low, answer.p) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.05))


def test_models_without_a_difference_are_not_told_apart():
    answer = differences.shipped(0.0, np.zeros(100), LABELS)
    assert answer.low < 0.0 < answer.high
    assert answer.p == 1.0


def test_a_difference_that_no_image_varies_reaches_0_where_its_p_value_is_5_percent():
    share = intervals.unseen_pairs(LABELS)
    answer = differences.shipped(share / (1 - share), np.zeros(100), LABELS)
    assert (answer.low, answer.p) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.05))


def test_holm_adjusts_as_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never less than the one before."""
    assert differences.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_adjusts_to_1_at_most():
    assert differences.holm([0.6, 0.9]) == [1.0, 1.0]


def test_holm_leaves_a_single_p_value():
    assert differences.holm([0.03]) == [0.03]


def test_holm_of_nothing_is_nothing():
    assert differences.holm([]) == []


def test_of_equal_models_holm_calls_one_different_in_5_percent_of_tables():
    p_values = np.random.default_rng(2).random((2000, 21))
    assert np.mean([min(differences.holm(row)) < 0.05 for row in p_values]) == pytest.approx(0.05, abs=0.015)


VERDICTS = {
    "clearly above": (0.1, 0.01, "better"),
    "clearly below": (-0.1, 0.01, "worse"),
    "at the level": (0.1, 0.05, "no difference shown"),
    "clear before the adjustment": (0.1, 0.3, "no difference shown"),
    "equal": (0.0, 0.0, "no difference shown"),
}


@pytest.mark.parametrize(("value", "adjusted", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_follows_the_adjusted_p_value(value, adjusted, verdict):
    assert differences.verdict(Answer(value, value - 0.05, value + 0.05, 0.01, 0.02), adjusted) == verdict


def test_a_turned_pair_has_the_opposite_verdicts():
    one, other = ranked("one", 0.9), ranked("other", 0.8)
    pair = Pair(one, other, Answer(0.2, 0.1, 0.4, 0.01, 0.1), 0.02, Answer(-0.2, -0.3, 0.1, 0.3, 0.1), 0.6)
    turned = Pair(other, one, Answer(-0.2, -0.4, -0.1, 0.01, 0.1), 0.02, Answer(0.2, -0.1, 0.3, 0.3, 0.1), 0.6)
    assert pair.turned == turned
    assert (pair.shipped_verdict, turned.shipped_verdict) == ("better", "worse")
    assert (pair.verdict, turned.verdict) == ("no difference shown", "no difference shown")


def test_p_values_of_a_table_are_corrected_for_the_pairs_that_have_them():
    known = [ranked(name, area, training=Training(3, noise(1e-6, 4, name))) for name, area in (("a", 0.9), ("b", 0.8))]
    unknown = ranked("c", 0.7)
    pairs = differences.pairs([tuple(known), (known[0], unknown), (known[1], unknown)])
    assert [pair.shipped_adjusted_p for pair in pairs] == differences.holm([pair.shipped.p for pair in pairs])
    assert [pair.retrained_adjusted_p for pair in pairs] == [pairs[0].retrained.p, None, None]
    assert [pair.verdict for pair in pairs] == ["better", None, None]
