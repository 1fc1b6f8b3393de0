"""Two questions about two models, and verdicts on many pairs at once."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from benchmarks import verdicts as simulation
from study.report import differences
from study.report.differences import Answer, Pair
from study.report.run import Scored
from study.scoring import intervals

LABELS = np.repeat([0, 1], 50)
SHORTFALL = np.random.default_rng(0).normal(size=100) / 100
ALIKE = np.zeros(100)  # shortfalls
DRAWN = intervals.sampling(SHORTFALL, LABELS)


@dataclass(frozen=True)
class Images:
    labels: np.ndarray
    shortfall: np.ndarray
    mean_shortfall: np.ndarray


def model(
    name: str,
    areas: list[float],
    sampling: float = 0.0,
    shortfall: np.ndarray = ALIKE,
    labels: np.ndarray = LABELS,
    collapsed: int = 0,
) -> Scored:
    """Of these areas; images add `sampling` to their variance."""
    spread = {"raw_variance": np.var(areas, ddof=1) if len(areas) > 1 else 0.0, "sampling_variance": sampling}
    test = {
        "roc_auc": areas[0],
        "roc_auc_mean": float(np.mean(areas)),
        "repeats": [{"roc_auc": area} for area in areas],
        "spread": [spread | {"degrees_of_freedom": len(areas) - 1}] if len(areas) > 1 else [],
    }
    return Scored(name, test, Images(labels, shortfall, shortfall), collapsed)


def pair_of(one: Scored, other: Scored, smallest_change: float = 1e-9) -> Pair:
    return differences.pairs([(one, other)], smallest_change)[0]


def test_the_first_answer_of_one_class_is_students_paired_test():
    """Two classes of which one does not vary."""
    gains = np.where(LABELS == 0, SHORTFALL, 1.0)
    expected = stats.ttest_1samp(gains[LABELS == 0], 0.0)
    value = float(gains[LABELS == 0].mean())
    answer = pair_of(model("a", [0.5 + value]), model("b", [0.5], shortfall=gains)).shipped
    assert answer.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert (answer.low, answer.high) == (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))


def test_the_second_answer_of_two_runs_of_a_model_is_students_test():
    """One variance for both, of the seeds alone."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.9, 0.01, 4), rng.normal(0.88, 0.01, 4)
    answer = pair_of(model("a", list(one)), model("a", list(other))).retrained
    assert answer.p == pytest.approx(stats.ttest_ind(one, other).pvalue)


def test_the_second_answer_adds_the_seed_variance_over_the_repeats():
    one, other = model("a", [0.8, 0.9, 1.0], shortfall=SHORTFALL), model("b", [0.5, 0.6])
    pair = differences.retrained(one, other, differences.seed_variances([one, other]))[0]
    variances = differences.seed_variances([one, other])
    assert pair.variance == pytest.approx(DRAWN.variance + variances["a"].seeds / 3 + variances["b"].seeds / 2)


def test_what_images_add_to_the_spread_counts_once():
    one, other = (
        model(name, [0.8, 0.9, 1.0], sampling=0.02, shortfall=SHORTFALL * sign) for name, sign in (("a", 1), ("b", -1))
    )
    pair = differences.retrained(one, other, differences.seed_variances([one, other]))[0]
    assert pair.variance == pytest.approx(4 * DRAWN.variance)


def test_degrees_of_freedom_are_no_fewer_than_those_of_the_steadier_model():
    """Images explain all of the spread: else the interval would be 20 areas wide."""
    one, other = (model(name, [0.9, 0.9001], sampling=1e-3) for name in ("a", "b"))
    answer = pair_of(one, other).retrained
    assert answer.high - answer.low < 1


UNKNOWN = {
    "trained once": ((model("a", [0.9]), model("b", [0.8, 0.81])), "a was trained once"),
    "collapsed": (
        (model("a", [0.9, 0.91, 0.92]), model("b", [0.8, 0.81, 0.5], collapsed=1)),
        "1 of 3 runs of b collapsed",
    ),
    "few images": (
        tuple(model(name, [0.9, 0.91], labels=np.repeat([0, 1], [96, 4])) for name in "ab"),
        "a class has fewer than 5 test images",
    ),
}


@pytest.mark.parametrize(("models", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_verdict_is_unknown_for_a_reason(models, reason):
    pair = pair_of(*models)
    assert (pair.verdict, pair.reason, pair.retrained, pair.chance) == ("unknown", reason, None, None)


def test_an_unknown_verdict_costs_the_others_of_the_table_nothing():
    steady = [model(name, list(mean + np.arange(3) / 100)) for name, mean in (("a", 0.9), ("b", 0.7))]
    pairs = differences.pairs([tuple(steady), (steady[0], model("c", [0.5]))], 0.002)
    assert [pair.verdict for pair in pairs] == ["better", "unknown"]
    assert pairs[0].retrained == differences.pairs([tuple(steady)], 0.002)[0].retrained


def test_the_interval_leaves_out_0_exactly_if_the_p_value_is_below_5_percent():
    for tables in simulation.simulated(12, 4, simulation.RATIOS["1.1"]):
        for pair in simulation.verdicts(tables.all_pairs(4)):
            assert (pair.retrained.low > 0 or pair.retrained.high < 0) == (pair.retrained.p < 0.05)


def test_models_without_a_difference_are_not_told_apart():
    answer = pair_of(model("a", [0.9]), model("b", [0.9])).shipped
    assert answer.low < 0.0 < answer.high
    assert answer.p == 1.0


def test_a_difference_that_no_image_varies_reaches_0_where_its_p_value_is_5_percent():
    share = intervals.unseen_pairs(LABELS)
    answer = pair_of(model("a", [share / (1 - share)]), model("b", [0.0])).shipped
    assert (answer.low, answer.p) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.05))


def adjusted(p_values: list[float]) -> list[float]:
    return [min(1.0, p * factor) for p, factor in zip(p_values, intervals.holm_factors(p_values), strict=True)]


def test_holm_adjusts_as_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never less than the one before."""
    assert adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_a_single_p_value():
    assert intervals.holm_factors([0.03]) == [1.0]


def test_holm_of_nothing_is_nothing():
    assert intervals.holm_factors([]) == []


def test_holm_has_a_factor_for_a_p_value_of_0():
    assert intervals.holm_factors([0.0, 0.5]) == [2.0, 1.0]


def test_of_equal_models_holm_calls_one_different_in_5_percent_of_tables():
    p_values = np.random.default_rng(2).random((2000, 21))
    assert np.mean([min(adjusted(row)) < 0.05 for row in p_values]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", ["1.1", "0.1 to 10"])
def test_few_tables_of_equal_models_hold_a_false_verdict(ratio):
    """6 % at most, by `benchmarks.verdicts`; without Holm, every second one at a ratio of 1.1."""
    tables = list(simulation.simulated(40, 3, simulation.RATIOS[ratio]))
    false = [any(map(simulation.is_claim, simulation.verdicts(table.all_pairs(3)))) for table in tables]
    assert np.mean(false) <= 0.15


VERDICTS = {
    "above": (Answer(0.02, 0.01, 0.03, 0.01), "better"),
    "below": (Answer(-0.02, -0.03, -0.01, 0.01), "worse"),
    "at the level": (Answer(0.02, 0.0, 0.04, 0.05), "unclear"),
    "wide": (Answer(0.001, -0.01, 0.012, 0.8), "unclear"),
    "within what matters": (Answer(0.0, -0.001, 0.0019, 0.9), "equivalent"),
    "above, but within what matters": (Answer(0.001, 0.0005, 0.0015, 0.01), "equivalent"),
    "up to what matters": (Answer(0.001, -0.001, 0.002, 0.3), "unclear"),
}


@pytest.mark.parametrize(("answer", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_follows_the_interval(answer, verdict):
    assert differences.verdict(answer, 0.002) == verdict


def test_a_turned_pair_has_the_opposite_verdict():
    one, other = (model(name, list(mean + np.arange(3) / 100)) for name, mean in (("a", 0.9), ("b", 0.7)))
    pair, turned = pair_of(one, other), pair_of(other, one)
    assert (pair.verdict, turned.verdict) == ("better", "worse")
    assert pair.turned.retrained.low == pytest.approx(turned.retrained.low)
    assert pair.turned.chance == pytest.approx(turned.chance)
    assert pair.turned.turned == pair


PARTS = differences.Parts(4e-6, 1e-6, 1e-5, 3e-5, 3, 1000)  # (0.006 / 2.8016)² is 4.59e-6, (0.002 / 2.8016)² 5.10e-7
SETTLED = {
    "repeats": (0.006, PARTS, "about 19 repeats would settle it"),
    "images": (0.002, replace(PARTS, seeds=0.0, raw=0.0), "about 7,900 test images would settle it"),
    "both": (0.002, PARTS, "more repeats and more test images would settle it"),
}


@pytest.mark.parametrize(("value", "parts", "reason"), SETTLED.values(), ids=SETTLED)
def test_an_unclear_verdict_says_what_would_settle_it(value, parts, reason):
    assert differences.settled_by(value, parts, 1.0, 0.002) == reason


@pytest.mark.slow
def test_as_many_repeats_as_it_says_show_a_true_gain_in_about_four_of_five_tables():
    """A little less: the advice takes the variance as known. Of three repeats, one in two tables shows this gain."""
    ratio = simulation.RATIOS["1.1"]
    gain = 3 * ratio[0] * simulation.sampling_deviation()
    tables = list(simulation.simulated(60, 12, ratio))
    parts = []
    for table in tables:
        models = table.two_revisions(3)
        variances = differences.seed_variances(model for pair in models for model in pair)
        parts.append(differences.retrained(*models[0], variances)[1])
    usual = differences.Parts(*np.mean([list(vars(each).values()) for each in parts], axis=0))
    advice = differences.settled_by(gain, usual, len(models), 1e-9)
    repeats = int(re.fullmatch(r"about (\d+) repeats would settle it", advice)[1])
    assert 3 < repeats <= 6
    shown = [simulation.verdicts(table.two_revisions(repeats, gain))[0].verdict == "better" for table in tables]
    assert 0.6 < np.mean(shown) < 0.95, (repeats, np.mean(shown))
