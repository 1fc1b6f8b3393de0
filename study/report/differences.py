"""Two questions about two models, of one run or of two, and what may be said after many comparisons.

- `retrained`, the primary one: would the change hold if both were trained again? Counts the sampling error and the seed
  variance (Dietterich, Approximate statistical tests for comparing supervised classification learning algorithms,
  Neural Computation 10, 1998, says why one run does not tell).
- `shipped`: do these two models differ on images like these? Counts the sampling error.

`pairs` answers both for all pairs of a table and gives the verdicts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from study.report import moderation
from study.report.moderation import SeedVariance
from study.report.run import Scored
from study.scoring import intervals

Verdict = Literal["better", "worse", "equivalent", "unclear", "unknown"]
POWER = 0.8  # with which what would settle an unclear pair shows a true difference
MOST_REPEATS = 100


@dataclass(frozen=True)
class Answer:
    """A difference with its interval and the two-sided p value of "no difference", corrected for all of its table.

    The interval leaves out 0 exactly if the p value is below 5 %.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Estimate:
    """A difference, and how far it may be from the true one."""

    value: float
    variance: float  # 0 if no image and no seed changes it
    degrees_of_freedom: float
    image_pairs: float  # see `intervals.unseen_pairs`

    @property
    def p(self) -> float:
        if self.variance < intervals.NO_VARIANCE:  # an interval of `_unseen` holds 0 from this level on
            return min(1.0, 2 * (1 + abs(self.value)) ** -self.image_pairs)
        return float(2 * stdtr(self.degrees_of_freedom, -abs(self.value) / self.deviation))

    @property
    def deviation(self) -> float:
        return math.sqrt(self.variance)

    def interval(self, level: float) -> tuple[float, float]:
        """It misses the true difference in a share of `level`."""
        if self.variance < intervals.NO_VARIANCE:
            share = 1 - (level / 2) ** (1 / self.image_pairs)
            return self.value * (1 - share) - share, self.value * (1 - share) + share
        half = -float(stdtrit(self.degrees_of_freedom, level / 2)) * self.deviation
        return self.value - half, self.value + half

    def answer(self, factor: float = 1.0) -> Answer:
        """With the p value times a `factor` of 1 or more, and the interval that goes with it."""
        return Answer(self.value, *self.interval(intervals.LEVEL / factor), min(1.0, factor * self.p))


@dataclass(frozen=True)
class Pair:
    """The ROC-AUC of the one model less that of the other on the same test images.

    `retrained` is of the means over repeats, corrected for its table, and decides. `shipped` is of the two models that
    are kept, for itself. `chance` is the probability that a new run of the one beats a new run of the other on new
    images (Bouthillier et al., Accounting for variance in machine learning benchmarks, 2021, arXiv:2103.03098).
    `reason` says why the verdict is unknown, or what would settle an unclear one.
    """

    one: Scored
    other: Scored
    shipped: Answer | None
    retrained: Answer | None
    deviation: float | None  # standard deviation of what `retrained` estimates
    chance: float | None
    verdict: Verdict
    reason: str

    @property
    def names(self) -> tuple[str, str]:
        return self.one.name, self.other.name

    @property
    def turned(self) -> "Pair":
        """The same of the other less the one."""
        opposite: dict[str, Verdict] = {"better": "worse", "worse": "better"}
        shipped, retrained = (
            answer and replace(answer, value=-answer.value, low=-answer.high, high=-answer.low)
            for answer in (self.shipped, self.retrained)
        )
        return replace(
            self,
            one=self.other,
            other=self.one,
            shipped=shipped,
            retrained=retrained,
            chance=None if self.chance is None else 1 - self.chance,
            verdict=opposite.get(self.verdict, self.verdict),
        )


@dataclass(frozen=True)
class Parts:
    """What a difference of means over repeats varies by, for `settled_by`."""

    sampling: float  # variance, of the means
    sampling_of_runs: float  # the part of it that more repeats lower
    seeds: float  # variance, of the means
    raw: float  # variance of one run of each model, from its seed and from the images together
    repeats: int  # of the model that has fewer
    images: int

    @property
    def of_single_runs(self) -> float:
        """The variance of a difference of one new run of each model."""
        return max(self.sampling - self.sampling_of_runs, 0.0) + self.raw


def pairs(models: Sequence[tuple[Scored, Scored]], smallest_change: float, others: Iterable[Scored] = ()) -> list[Pair]:
    """All pairs of a table, with verdicts that are corrected for all of them.

    `others` are further models whose spread says what is usual. A change that lies within ± `smallest_change` does not
    matter.
    """
    variances = seed_variances([*(model for pair in models for model in pair), *others])
    answered = [(_unknown(*pair), *pair) for pair in models]
    estimates = [None if why else retrained(one, other, variances) for why, one, other in answered]
    factors = iter(intervals.holm_factors([estimate[0].p for estimate in estimates if estimate]))
    return [
        _pair(one, other, why, estimate, next(factors) if estimate else 1.0, smallest_change)
        for (why, one, other), estimate in zip(answered, estimates, strict=True)
    ]


def seed_variances(models: Iterable[Scored]) -> Mapping[str, SeedVariance]:
    """Of all models that were trained several times, collapsed or not; of two runs of a model, one for both."""
    spreads: dict[str, list] = {}
    for model in {id(model): model for model in models}.values():
        spreads.setdefault(model.name, [])
        if model.spread:
            spreads[model.name].append(model.spread)
    return moderation.moderated(spreads)


def _unknown(one: Scored, other: Scored) -> str:
    """Why nothing can be said about the two if they were trained again; "" if something can."""
    if not intervals.enough(one.images.labels):
        return f"a class has fewer than {intervals.LEAST_PER_CLASS} test images"
    for model in (one, other):
        if model.spread is None:
            return f"{model.name} was trained once"
        if model.collapsed:
            return f"{model.collapsed} of {model.repeats} runs of {model.name} collapsed"
    return ""


def _pair(
    one: Scored,
    other: Scored,
    unknown: str,
    estimate: tuple[Estimate, Parts] | None,
    factor: float,
    smallest_change: float,
) -> Pair:
    few = not intervals.enough(one.images.labels)
    of_these = None if few else shipped(one, other).answer()
    if estimate is None:
        return Pair(one, other, of_these, None, None, None, "unknown", unknown)
    difference, parts = estimate
    answer = difference.answer(factor)
    given = verdict(answer, smallest_change)
    reason = settled_by(difference.value, parts, factor, smallest_change) if given == "unclear" else ""
    deviation = math.sqrt(parts.of_single_runs)
    chance = float(ndtr(difference.value / deviation)) if deviation else float((np.sign(difference.value) + 1) / 2)
    return Pair(one, other, of_these, answer, difference.deviation, chance, given, reason)


def shipped(one: Scored, other: Scored) -> Estimate:
    """Of the two models that are kept."""
    value = one.test["roc_auc"] - other.test["roc_auc"]
    drawn = intervals.sampling(other.images.shortfall - one.images.shortfall, one.images.labels)
    return Estimate(value, drawn.variance, _finite(drawn.degrees_of_freedom), _image_pairs(one.images.labels))


def retrained(one: Scored, other: Scored, variances: Mapping[str, SeedVariance]) -> tuple[Estimate, Parts]:
    """Of the means over the repeats of both models.

    The variance is the sampling variance plus, per model, its seed variance over its repeats. The moderated variances
    of the two share their prior, so they count as one estimate, with the fewer degrees of freedom of the two
    (Satterthwaite); the whole has no fewer than that of the steadier model's own repeats (Welch).
    """
    labels = one.images.labels
    drawn = intervals.sampling(other.images.mean_shortfall - one.images.mean_shortfall, labels)
    own = [(variances[model.name], model.repeats) for model in (one, other)]
    seeds = sum(noise.seeds / repeats for noise, repeats in own)
    variance = drawn.variance + seeds
    raw = sum(noise.raw / repeats for noise, repeats in own)
    error = raw**2 / min(noise.degrees_of_freedom for noise, _ in own) + drawn.variance**2 / drawn.degrees_of_freedom
    least = min(noise.own_degrees for noise, _ in own)
    degrees = _finite(max(variance**2 / error, least) if error > 0 else math.inf)
    parts = Parts(
        drawn.variance,
        sum(noise.sampling / repeats for noise, repeats in own),
        seeds,
        sum(max(noise.raw, noise.sampling) for noise, _ in own),
        min(repeats for _, repeats in own),
        len(labels),
    )
    value = one.test["roc_auc_mean"] - other.test["roc_auc_mean"]
    return Estimate(value, variance, degrees, _image_pairs(labels)), parts


def _finite(degrees_of_freedom: float) -> float:
    return min(degrees_of_freedom, 1e9)


def _image_pairs(labels: np.ndarray) -> float:
    return math.log(intervals.TAIL) / math.log1p(-intervals.unseen_pairs(labels))


def verdict(answer: Answer, smallest_change: float) -> Verdict:
    if -smallest_change < answer.low and answer.high < smallest_change:
        return "equivalent"
    if answer.p >= intervals.LEVEL or answer.value == 0:
        return "unclear"
    return "better" if answer.value > 0 else "worse"


def settled_by(value: float, parts: Parts, factor: float, smallest_change: float) -> str:
    """The repeats or test images, whichever grow less, with which a true difference of `value` is shown by POWER.

    A smaller value counts as `smallest_change`, which is as hard to exclude. The rest of the table stays as it is.
    """
    quantile = -float(ndtri(intervals.LEVEL / 2 / factor)) + float(ndtri(POWER))
    wanted = (max(abs(value), smallest_change) / quantile) ** 2
    by_repeats, by_images = wanted - (parts.sampling - parts.sampling_of_runs), wanted - parts.seeds
    repeats = parts.raw / by_repeats if by_repeats > 0 else math.inf
    images = parts.images * parts.sampling / by_images if by_images > 0 else math.inf
    if parts.images < images < parts.images * repeats / parts.repeats:
        return f"about {_rounded_up(images):,} test images would settle it"
    if repeats <= MOST_REPEATS:
        return f"about {max(math.ceil(repeats), parts.repeats + 1)} repeats would settle it"
    return "more repeats and more test images would settle it"


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return math.ceil(number / unit) * unit
