"""The seed variance of each model of a table, estimated with the help of the other models, and repeats that collapsed.

Two or three repeats say little about a variance. Smyth (Linear models and empirical Bayes methods for assessing
differential expression, Statistical Applications in Genetics and Molecular Biology 3, 2004) moves each variance towards
a common one, the further the more alike the variances of the table are. docs/methods.md has the formulas, and how they
differ from Smyth's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from study.evaluation.seeds import Spread

LEAST_SHARE = 1e-6  # of the mean variance: smaller ones count as this, since their logarithms have no bound
LEAST_TRIGAMMA, MOST_TRIGAMMA = 1e-6, 1e8  # between which the prior's degrees of freedom are sought
APART = 15  # typical ranges of repeats, see `collapsed`
FROM_THE_REST = 5  # own ranges


@dataclass(frozen=True)
class SeedVariance:
    """Of the ROC-AUC of a model's runs from different seeds."""

    raw: float  # of their areas, moderated
    sampling: float  # the part of it that finitely many images add
    own_degrees: int  # repeats − 1; of two revisions, the smaller
    degrees_of_freedom: float  # of `raw`

    @property
    def seeds(self) -> float:
        """Of the seeds alone."""
        return max(self.raw - self.sampling, 0.0)


def moderated(spreads: Mapping[str, Sequence[Spread]]) -> dict[str, SeedVariance]:
    """The seed variance of each model, from its spread in each run that is compared; none of a model without spread."""
    pooled = {name: _pooled(own) for name, own in spreads.items() if own}
    raw = [own.raw for own in pooled.values()]
    variance, prior_degrees = prior(raw, [own.degrees_of_freedom for own in pooled.values()])
    return {name: _moderated(own, variance, prior_degrees) for name, own in pooled.items()}


def prior(variances: Sequence[float], degrees: Sequence[float]) -> tuple[float, float]:
    """The common variance, and its degrees of freedom: how many it is worth beside each variance.

    The variance is the mean, weighted by `degrees`. The degrees are those of Smyth's moments: of the spread of the
    logarithms beyond what `degrees` explain. They are infinite if nothing is beyond, and 0 for less than two variances.
    """
    raw, d = np.asarray(variances, dtype=float), np.asarray(degrees, dtype=float)
    if len(raw) < 2 or not raw.any():
        return 0.0, 0.0
    mean = float(np.average(raw, weights=d))
    logs = np.log(np.maximum(raw, LEAST_SHARE * mean)) - digamma(d / 2) + np.log(d / 2)
    beyond = float(np.var(logs, ddof=1) - polygamma(1, d / 2).mean())
    if beyond <= LEAST_TRIGAMMA:
        return mean, np.inf
    half = brentq(lambda x: polygamma(1, np.exp(x)) - min(beyond, MOST_TRIGAMMA), np.log(1e-5), np.log(1e7))
    return mean, 2 * float(np.exp(half))


def _pooled(spreads: Sequence[Spread]) -> SeedVariance:
    """One estimate of the spreads of a model in several runs."""
    degrees = [spread["degrees_of_freedom"] for spread in spreads]
    raw, sampling = (
        float(np.average([spread[part] for spread in spreads], weights=degrees))
        for part in ("raw_variance", "sampling_variance")
    )
    return SeedVariance(raw, sampling, min(degrees), sum(degrees))


def _moderated(own: SeedVariance, variance: float, prior_degrees: float) -> SeedVariance:
    """The prior counts for no more than (R − 1)² times the model's own degrees of freedom.

    Without this limit, the few models that are noisier than the rest are told apart falsely.
    """
    degrees = own.degrees_of_freedom
    added = min(prior_degrees, own.own_degrees**2 * degrees)
    raw = (added * variance + degrees * own.raw) / (added + degrees)
    return SeedVariance(raw, own.sampling, own.own_degrees, added + degrees)


def collapsed(areas: Mapping[str, Sequence[float]], least: float) -> dict[str, int]:
    """How many of each model's repeats, given with their areas, ended far below its others.

    The largest gap between neighbouring areas parts them. The ones below it collapsed if the gap is above `least`,
    above APART times the typical range, which is the median over the models of the range of the closest half of their
    repeats, and, of three repeats or more, above FROM_THE_REST times the model's own such range.
    """
    repeated = {name: np.sort(own) for name, own in areas.items() if len(own) > 1}
    ranges = {name: _closest_half(own) for name, own in repeated.items()}
    typical = float(np.median(list(ranges.values()))) if len(ranges) > 1 else np.inf
    counts = dict.fromkeys(areas, 0)
    for name, own in repeated.items():
        gaps = np.diff(own)
        own_range = ranges[name] if len(own) > 2 else 0.0
        if typical > 0 and gaps.max() > max(least, APART * typical, FROM_THE_REST * own_range):
            counts[name] = int(gaps.argmax()) + 1
    return counts


def _closest_half(areas: np.ndarray) -> float:
    """The range of the ⌊R / 2⌋ + 1 sorted areas that lie closest together."""
    span = len(areas) // 2
    return float((areas[span:] - areas[: len(areas) - span]).min())
