"""The seed variance of a model, moderated by the other models of its table, and runs that collapsed."""

import numpy as np
import pytest
from scipy.special import polygamma

from study.report import moderation


def spread(raw: float, sampling: float = 0.0, degrees: int = 2) -> dict:
    return {"raw_variance": raw, "sampling_variance": sampling, "degrees_of_freedom": degrees}


def estimates(**spreads: dict) -> dict[str, moderation.SeedVariance]:
    return moderation.moderated({name: [own] for name, own in spreads.items()})


def test_a_model_alone_keeps_its_own_variance():
    own = estimates(cnn2=spread(4e-4, 1e-4))["cnn2"]
    assert (own.raw, own.seeds, own.degrees_of_freedom) == (pytest.approx(4e-4), pytest.approx(3e-4), 2)


def test_variances_that_chance_explains_move_most_towards_their_mean():
    """The prior counts (R − 1)² times the own degrees at most."""
    own = estimates(a=spread(1e-4), b=spread(2e-4), c=spread(3e-4))
    assert [each.degrees_of_freedom for each in own.values()] == [2 + 8] * 3
    assert own["a"].raw == pytest.approx((8 * 2e-4 + 2 * 1e-4) / 10)


def test_variances_that_chance_does_not_explain_stay_almost_as_they_are():
    own = estimates(
        **{f"steady{number}": spread(1e-8, degrees=20) for number in range(4)}, unsteady=spread(1e-2, degrees=20)
    )
    assert own["steady0"].degrees_of_freedom < 22
    assert own["unsteady"].raw > 0.9e-2


def test_the_degrees_of_the_prior_are_those_of_smyths_moments():
    """Of variances σ² χ²(d) / d, with σ² itself scaled inverse χ² of 6 degrees of freedom."""
    rng, degrees = np.random.default_rng(0), np.full(20_000, 4.0)
    true = 6 / rng.chisquare(6, len(degrees))
    variance, prior_degrees = moderation.prior(true * rng.chisquare(4, len(degrees)) / 4, degrees)
    assert prior_degrees == pytest.approx(6, rel=0.1)
    assert variance == pytest.approx(1.5, rel=0.1)  # the mean of the inverse χ² is d0 / (d0 − 2)


def test_the_spread_of_logarithms_that_chance_explains_is_a_trigamma_function():
    """What `prior` takes off."""
    logs = np.log(np.random.default_rng(0).chisquare(4, 100_000) / 4)
    assert logs.var() == pytest.approx(polygamma(1, 2.0), rel=0.02)


def test_two_runs_of_a_model_are_one_estimate_by_degrees_of_freedom():
    own = moderation.moderated({"cnn2": [spread(1e-4, 2e-5, 1), spread(4e-4, 5e-5, 2)]})["cnn2"]
    assert own.raw == pytest.approx((1e-4 + 2 * 4e-4) / 3)
    assert own.sampling == pytest.approx((2e-5 + 2 * 5e-5) / 3)
    assert (own.own_degrees, own.degrees_of_freedom) == (1, 3)


def test_a_model_without_repeats_has_no_estimate():
    assert moderation.moderated({"cnn2": [], "cnn3": [spread(1e-4)]}).keys() == {"cnn3"}


def test_repeats_that_do_not_differ_have_no_variance():
    assert {own.raw for own in estimates(a=spread(0.0), b=spread(0.0)).values()} == {0.0}


def test_one_model_without_variance_leaves_finite_estimates():
    own = estimates(a=spread(0.0), b=spread(1e-4), c=spread(2e-4))
    assert 0 < own["a"].raw < 1e-4


def test_seeds_have_no_variance_if_the_images_explain_all():
    assert estimates(cnn2=spread(1e-4, 3e-4))["cnn2"].seeds == 0.0


STEADY = {"a": [0.90, 0.901, 0.902], "b": [0.90, 0.9005, 0.902], "c": [0.90, 0.9015, 0.902]}
COLLAPSED = {
    "none": ([0.900, 0.901, 0.902], 0),
    "one": ([0.900, 0.901, 0.85], 1),
    "two": ([0.85, 0.901, 0.851], 2),
    "one of two": ([0.85, 0.90], 1),
    "a wide spread without a gap": ([0.80, 0.83, 0.87], 0),
    "less than matters": ([0.9, 0.9, 0.8999], 0),
    "one run": ([0.5], 0),
}


@pytest.mark.parametrize(("areas", "count"), COLLAPSED.values(), ids=COLLAPSED)
def test_runs_far_below_the_others_of_their_model_collapsed(areas, count):
    assert moderation.collapsed(STEADY | {"d": areas}, 0.002) == dict.fromkeys(STEADY, 0) | {"d": count}


def test_a_model_alone_has_nothing_to_say_what_is_far():
    assert moderation.collapsed({"d": [0.9, 0.901, 0.85]}, 0.002) == {"d": 0}


def test_of_equal_models_few_are_called_collapsed():
    draws = np.random.default_rng(0).normal(0.9, 0.01, (500, 8, 3))
    counts = [moderation.collapsed(dict(enumerate(areas)), 0.0).values() for areas in draws]
    assert np.mean([count > 0 for table in counts for count in table]) < 0.03
