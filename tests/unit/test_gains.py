"""What a finalist gains is judged by its fresh runs, the images and how many trials it is the best of."""

import numpy as np
import pytest
from samples import sample
from scipy.stats import ttest_ind

from study.scoring import intervals
from study.scoring.intervals import Sampling
from study.search import gains
from study.search.gains import Fresh

NO_IMAGES = Sampling(0.0, np.inf)


def answer(difference: float, trials: int = 1, images: Sampling = NO_IMAGES) -> gains.Gain:
    """Of two blocks with four runs each."""
    return gains.compared([difference], [images], 1.0, 6, 4, trials)[0]


def test_if_images_add_nothing_the_verdict_is_students_t_test_of_the_runs():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.5, 1, 4), rng.normal(0, 1, 4)
    between = (one.var(ddof=1) + other.var(ddof=1)) / 2
    gain = gains.compared([one.mean() - other.mean()], [NO_IMAGES], between, 6, 4, trials=1)[0]
    expected = ttest_ind(one, other, alternative="greater")
    assert gain.p == pytest.approx(expected.pvalue)
    interval = ttest_ind(one, other).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("difference", [1.6, 1.8, -1.8])
def test_a_gain_is_shown_exactly_if_the_interval_of_a_sole_finalist_lies_above_zero(difference):
    gain = answer(difference)
    assert gain.is_shown == (gain.low > 0)


def test_the_optimism_is_what_the_luck_with_images_adds_to_the_best_of_many():
    rng = np.random.default_rng(0)
    of_images = rng.normal(0, 2.0, (20_000, 16))
    best = (of_images + rng.normal(0, 3.0, of_images.shape)).argmax(axis=1)
    lucky = np.take_along_axis(of_images, best[:, None], axis=1).mean()
    assert gains.optimism(np.array(4.0), 9.0, trials=16) == pytest.approx(lucky, rel=0.02)


def test_one_trial_has_no_optimism_and_more_trials_need_a_larger_difference():
    images = Sampling(0.5, 400)
    few, many = answer(2.5, 1, images), answer(2.5, 50, images)
    assert few.optimism == 0 < many.optimism
    assert few.is_shown
    assert not many.is_shown


def test_of_several_finalists_each_p_value_is_corrected_by_holm():
    alone = [answer(difference).p for difference in (2.0, 1.5, 1.0)]
    together = gains.compared([1.0, 2.0, 1.5], [NO_IMAGES] * 3, 1.0, 6, 4, 1)
    assert [gain.p for gain in together] == pytest.approx([alone[2], 3 * alone[0], 2 * alone[1]])


def runs(seed: int, lean: float, count: int = 3) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and the probabilities of runs on the same images that differ by their seeds."""
    labels, first = sample(0, 400, 4)
    rng = np.random.default_rng(seed)
    logits = np.log(first) + lean * np.eye(4)[labels]
    odds = np.exp(logits + 0.5 * rng.normal(size=(count, *first.shape)))
    return labels, list(odds / odds.sum(axis=2, keepdims=True))


def blocks(lean: float) -> tuple[np.ndarray, dict[str, Fresh]]:
    """An own block, and one that is better by `lean`."""
    labels, own = runs(1, 0.0)
    return labels, {"own": gains.fresh(labels, own), "finalist": gains.fresh(labels, runs(2, lean)[1])}


@pytest.mark.parametrize(("lean", "shown"), [(0.0, False), (1.0, True), (-1.0, False)])
def test_a_block_is_shown_to_be_better_if_it_is(lean, shown):
    labels, pair = blocks(lean)
    assert gains.gains(labels, pair, [("finalist", "own")], trials=8)[0].is_shown == shown


def test_what_seeds_and_images_add_together_counts_once():
    """The variance of a difference is the whole sampling variance, plus what seeds add beyond it."""
    labels, pair = blocks(0.1)
    gain = gains.gains(labels, pair, [("finalist", "own")], trials=1)[0]
    less = pair["own"].shortfalls.mean(axis=0) - pair["finalist"].shortfalls.mean(axis=0)
    raw = np.mean([block.areas.var(ddof=1) for block in pair.values()])
    within = np.mean([intervals.sampling_of_runs(block.shortfalls, labels) for block in pair.values()])
    expected = intervals.sampling(less, labels).variance + 2 * (raw - within) / 3
    degrees = 4 * (expected / (2 * raw / 3)) ** 2  # nearly: images have many
    half = intervals.t_quantile(degrees) * np.sqrt(expected)
    assert (gain.high - gain.low) / 2 == pytest.approx(half, rel=0.02)


def test_runs_that_all_score_the_same_show_nothing():
    labels = np.arange(40) % 4
    same = gains.fresh(labels, [np.eye(4)[labels]] * 3)
    gain = gains.gains(labels, {"own": same, "finalist": same}, [("finalist", "own")], trials=8)[0]
    assert (gain.difference, gain.is_shown) == (0, False)
