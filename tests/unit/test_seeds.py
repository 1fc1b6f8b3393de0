"""The spread of the repeats of a model, and the part of it that finitely many images add."""

import numpy as np
import pytest

from study.evaluation import seeds
from study.scoring import intervals

LABELS = np.repeat([0, 1], 50)


def test_the_raw_variance_is_the_sample_variance_of_the_areas():
    found = seeds.spread([0.90, 0.92, 0.91], np.zeros((3, 100)), LABELS)
    assert (found["raw_variance"], found["degrees_of_freedom"]) == (pytest.approx(0.0001), 2)


def test_the_sampling_variance_is_half_the_mean_of_that_of_all_paired_differences():
    shortfalls = np.random.default_rng(0).random((4, 100))
    found = seeds.spread([0.9] * 4, shortfalls, LABELS)["sampling_variance"]
    pairs = [(one, other) for one in range(4) for other in range(one)]
    variances = [intervals.sampling(shortfalls[one] - shortfalls[other], LABELS).variance for one, other in pairs]
    assert found == pytest.approx(np.mean(variances) / 2)


def test_what_all_repeats_share_adds_nothing_to_the_sampling_variance():
    shortfalls = np.random.default_rng(0).random(100) + np.zeros((3, 100))
    assert seeds.spread([0.90, 0.92, 0.91], shortfalls, LABELS)["sampling_variance"] == pytest.approx(0, abs=1e-12)
