"""What the finalists of a search gain over their models' own blocks, from fresh runs scored on validation.

Other seeds and other validation images would change such a difference. It is also too high on average, because the
finalist was chosen as the best of many trials on the same images. docs/methods.md has the formulas; `python -m
benchmarks.overtuning` simulates how often they mislead, and what they cost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from study.scoring import intervals, placements
from study.scoring.intervals import Sampling
from study.scoring.probabilities import normalised
from study.scoring.scores import point


@dataclass(frozen=True)
class Fresh:
    """The fresh runs of one block on N validation images."""

    areas: np.ndarray  # (R,) ROC-AUC of each run, two or more
    shortfalls: np.ndarray  # (R, N), see `placements.shortfall`

    @property
    def roc_auc(self) -> float:
        return float(self.areas.mean())


@dataclass(frozen=True)
class Gain:
    """The mean ROC-AUC of a finalist less that of its control."""

    difference: float
    optimism: float  # what choosing it on the same images adds to the difference, on average
    low: float  # 95 % interval of the difference less the optimism
    high: float
    p: float  # one-sided, of no gain; corrected for the number of finalists

    @property
    def is_shown(self) -> bool:
        """At the level of one end of the interval."""
        return self.difference > 0 and self.p < intervals.TAIL


def fresh(labels: np.ndarray, runs: Sequence[np.ndarray]) -> Fresh:
    """From labels (N,) and the class probabilities (N, C) of each run."""
    missed = [placements.one_minus_placements(labels, normalised(probabilities)) for probabilities in runs]
    areas = [point(labels, probabilities)["roc_auc"] for probabilities in runs]
    return Fresh(np.array(areas), np.array([placements.shortfall(labels, each) for each in missed]))


def gains(labels: np.ndarray, blocks: dict[str, Fresh], pairs: Collection[tuple[str, str]], trials: int) -> list[Gain]:
    """The gain of each pair, a finalist and its control by the names of their blocks, after so many `trials`.

    All blocks have equally many runs. What a run's area owes to its seed, alone or together with the images, is in the
    variance between runs, which all blocks share. So it is taken out of the sampling variance of a difference.
    """
    repeats = len(next(iter(blocks.values())).areas)
    between = float(np.mean([block.areas.var(ddof=1) for block in blocks.values()]))
    of_runs = np.mean([intervals.sampling_of_runs(block.shortfalls, labels) for block in blocks.values()]) * 2 / repeats
    images = []
    for finalist, control in pairs:
        less = blocks[control].shortfalls.mean(axis=0) - blocks[finalist].shortfalls.mean(axis=0)
        drawn = intervals.sampling(less, labels)
        images.append(Sampling(max(0.0, drawn.variance - float(of_runs)), drawn.degrees_of_freedom))
    differences = [blocks[finalist].roc_auc - blocks[control].roc_auc for finalist, control in pairs]
    return compared(differences, images, between, len(blocks) * (repeats - 1), repeats, trials)


def compared(
    differences: Sequence[float],
    images: Sequence[Sampling],
    between_runs: float,
    degrees_of_freedom: int,
    repeats: int,
    trials: int,
) -> list[Gain]:
    """The gains behind differences of means over repeats.

    `images` is the sampling error that two blocks do not share, whatever their seeds; `between_runs` the variance of
    the runs of a block, with its degrees of freedom. Student's t with the degrees of freedom of Satterthwaite; p values
    are corrected by Holm.
    """
    if not len(differences):
        return []
    difference = np.array(differences)
    of_images = np.array([each.variance for each in images])
    of_seeds = 2 * between_runs / repeats
    variance = np.maximum(of_images + of_seeds, intervals.NO_VARIANCE)
    error = of_images**2 / [each.degrees_of_freedom for each in images] + of_seeds**2 / degrees_of_freedom
    degrees = variance**2 / np.maximum(error, variance**2 / 1e9)
    lucky = optimism(of_images / 2, between_runs, trials)
    p = stdtr(degrees, -(difference - lucky) / np.sqrt(variance))
    adjusted = np.minimum(1.0, p * intervals.holm_factors(p.tolist()))
    half = np.array([intervals.t_quantile(each) for each in degrees]) * np.sqrt(variance)
    ends = difference - lucky - half, difference - lucky + half
    return [Gain(*map(float, each)) for each in zip(difference, lucky, *ends, adjusted, strict=True)]


def optimism(of_images: np.ndarray, between_runs: float, trials: int) -> np.ndarray:
    """How much the best of so many trials of equal skill owes to the images that chose it, on average.

    A trial's score is its skill, plus luck with the images of variance `of_images`, plus luck with its seed. The best
    of n such scores lies b standard deviations above their mean, b being the expected largest of n standard normals
    (Blom, Statistical Estimates and Transformed Beta-Variables, 1958). The images' part of this lead is their share of
    the variance, and fresh seeds leave it in place.
    """
    largest = ndtri((trials - 0.375) / (trials + 0.25))
    return largest * of_images / np.sqrt(np.maximum(of_images + between_runs, intervals.NO_VARIANCE))
