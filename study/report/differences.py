"""Two questions about two models, of one run or of two, and what may be said after many comparisons.

- `shipped`: do these two models differ on images like these? Counts the sampling error.
- `retrained`: would the change hold if both were trained again? Counts the sampling error and the seed variance.

`pairs` answers both for all pairs of a table; `verdict` is the one place that gives a verdict.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import stdtr

from study.report.run import Scored
from study.report.seed_noise import Training
from study.scoring import intervals

Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Answer:
    """A difference with its 95 % interval, the two-sided p value of "no difference" and the standard deviation."""

    value: float
    low: float
    high: float
    p: float
    deviation: float  # 0 if the images show none

    @property
    def turned(self) -> "Answer":
        """Of the other model less the one."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Pair:
    """The ROC-AUC of the one model less that of the other on the same test images, by both questions.

    `retrained` is None if the seed variance is unknown. The p values are corrected, each for all pairs of the
    table that ask this question.
    """

    one: Scored
    other: Scored
    shipped: Answer
    shipped_adjusted_p: float
    retrained: Answer | None
    retrained_adjusted_p: float | None

    @property
    def names(self) -> tuple[str, str]:
        return self.one.name, self.other.name

    @property
    def shipped_verdict(self) -> Verdict:
        return verdict(self.shipped, self.shipped_adjusted_p)

    @property
    def verdict(self) -> Verdict | None:
        return self.retrained and verdict(self.retrained, self.retrained_adjusted_p)

    @property
    def turned(self) -> "Pair":
        """The same of the other less the one."""
        retrained = self.retrained and self.retrained.turned
        return replace(self, one=self.other, other=self.one, shipped=self.shipped.turned, retrained=retrained)

    @property
    def accuracy(self) -> Answer:
        """The first question, of accuracy. It is not corrected."""
        one, other = self.one.images, self.other.images
        hits = one.hits.astype(float) - other.hits
        value = self.one.test["accuracy"] - self.other.test["accuracy"]
        return shipped(value, intervals.of_mean(hits, one.labels), one.labels)


def pairs(models: Sequence[tuple[Scored, Scored]], same: Collection[str] | None = None) -> list[Pair]:
    """All pairs of a table. Of two runs, `same` names the models that are the same in both; of one run, it is None."""
    first = [_shipped(*pair) for pair in models]
    second = [_retrained(*pair, same) for pair in models]
    columns = (first, _adjusted(first), second, _adjusted(second))
    return [Pair(*pair, *answers) for pair, *answers in zip(models, *columns, strict=True)]


def _shipped(one: Scored, other: Scored) -> Answer:
    value = one.test["roc_auc"] - other.test["roc_auc"]
    return shipped(value, other.images.shortfall - one.images.shortfall, one.images.labels)


def _retrained(one: Scored, other: Scored, same: Collection[str] | None) -> Answer | None:
    value = one.test["roc_auc_mean"] - other.test["roc_auc_mean"]
    less = other.images.mean_shortfall - one.images.mean_shortfall
    noises = [model.training.noise for model in (one, other) if model.training.noise]
    same_trainings = same is None or all(name in same for noise in noises for name in noise.measured)
    return retrained(value, less, one.images.labels, one.training, other.training, same_trainings)


def _adjusted(answers: Sequence[Answer | None]) -> list[float | None]:
    """The p values of one question, corrected for all of its answers; None for no answer."""
    adjusted = iter(holm([answer.p for answer in answers if answer]))
    return [answer and next(adjusted) for answer in answers]


def shipped(value: float, contributions: np.ndarray, labels: np.ndarray) -> Answer:
    """Of the difference `value` of two models, to which each image (N,) of labels (N,) adds its contribution.

    For ROC-AUC the contributions are the other model's shortfalls less the one's; for accuracy they are
    `intervals.of_mean` of the one's hits less the other's. Student's t with Satterthwaite's degrees of freedom.
    """
    drawn = intervals.sampling(contributions, labels)
    if drawn.is_zero:
        return _unseen(value, labels)
    return _answer(value, [(drawn.variance, drawn.degrees_of_freedom)])


def retrained(
    value: float,
    contributions: np.ndarray,
    labels: np.ndarray,
    one: Training,
    other: Training,
    same_trainings: bool = True,
) -> Answer | None:
    """Of the difference `value` of two models' means over their repeats; contributions (N,) are of these means.

    The variance is the sampling variance plus, for each model, its seed variance over its repeats; Student's t
    with the degrees of freedom of Welch (The generalization of "Student's" problem when several different population
    variances are involved, Biometrika 34, 1947) and Satterthwaite. The noise of one model is one estimate, unless the
    two are of different runs. None if a model's noise is not known.
    """
    if one.noise is None or other.noise is None:
        return None
    drawn = intervals.sampling(contributions, labels)
    seeds = [(own.noise.variance / own.repeats, own.noise.degrees_of_freedom) for own in (one, other)]
    if same_trainings and set(one.noise.measured) & set(other.noise.measured):  # they do not err apart
        seeds = [(seeds[0][0] + seeds[1][0], min(seeds[0][1], seeds[1][1]))]
    components = [(drawn.variance, drawn.degrees_of_freedom), *seeds]
    if sum(variance for variance, _ in components) < intervals.NO_VARIANCE:
        return _unseen(value, labels)
    return _answer(value, components)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that all below a level are false together with at most that chance.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted.tolist()


def verdict(answer: Answer, adjusted_p: float) -> Verdict:
    """In words, at the level of the intervals."""
    if adjusted_p >= intervals.LEVEL or answer.value == 0:
        return "no difference shown"
    return "better" if answer.value > 0 else "worse"


def _answer(value: float, components: list[tuple[float, float]]) -> Answer:
    """From the variances that add up to the difference's, each with its degrees of freedom."""
    variance = sum(part for part, _ in components)
    error = sum(part**2 / degrees for part, degrees in components if part > 0)
    degrees = min(variance**2 / error, 1e9) if error > 0 else 1e9
    deviation = float(np.sqrt(variance))
    half = intervals.t_quantile(degrees) * deviation
    p = float(2 * stdtr(degrees, -abs(value) / deviation))
    return Answer(value, value - half, value + half, p, deviation)


def _unseen(value: float, labels: np.ndarray) -> Answer:
    """Of a difference to which all images of a class add the same: see `intervals.unseen_pairs`.

    A share s of pairs that differ otherwise, by −1 to 1, leaves value·(1 − s) ± s. It holds 0 from
    s = |value| / (1 + |value|) on.
    """
    share = intervals.unseen_pairs(labels)
    exponent = np.log(intervals.TAIL) / np.log1p(-share)
    p = min(1.0, float(2 * (1 + abs(value)) ** -exponent))
    return Answer(value, value * (1 - share) - share, value * (1 - share) + share, p, 0.0)
