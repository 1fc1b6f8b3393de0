"""The spread of retrained models, without what finitely many images add; whose it is where one was trained once."""

import numpy as np
import pytest

from study.evaluation import seeds
from study.report.seed_noise import seed_noise
from study.scoring import intervals

LABELS = np.repeat([0, 1], 50)
FAMILIES = {"cnn2": "cnn", "cnn3": "cnn", "resnet50": "resnet", "resnet101": "resnet", "best": "cnn"}


def spread(raw: float, sampling: float = 0.0, degrees: int = 2) -> seeds.Spread:
    return {"raw_variance": raw, "sampling_variance": sampling, "degrees_of_freedom": degrees}


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


def test_the_corrected_variance_is_that_of_the_seeds():
    """Areas of 20,000 pairs of repeats: seeds of variance 1e-4, images 2e-4 alike for both, 3e-4 by themselves."""
    rng = np.random.default_rng(1)
    seed, alone = rng.normal(0, 0.01, (20_000, 2)), rng.normal(0, np.sqrt(3e-4), (20_000, 2))
    shared = rng.normal(0, np.sqrt(2e-4), (20_000, 1))
    raw = float(np.mean((seed + shared + alone).var(axis=1, ddof=1)))
    noise = seed_noise("cnn2", FAMILIES, {"cnn2": spread(raw, 3e-4, 20_000)})
    assert noise.variance == pytest.approx(1e-4, rel=0.1)


@pytest.mark.parametrize("repeats", [3, 4, 10])
def test_a_model_of_three_repeats_or_more_has_its_own_noise(repeats):
    spreads = {"cnn2": spread(4e-4, 1e-4, repeats - 1), "cnn3": spread(9.0, 0.0, 20)}
    noise = seed_noise("cnn2", FAMILIES, spreads)
    assert noise.variance == pytest.approx(3e-4)
    assert noise.degrees_of_freedom == pytest.approx((repeats - 1) * 0.75**2)
    assert (noise.corrected, noise.borrowed, noise.measured) == (True, "", ("cnn2",))


def test_a_model_of_two_repeats_is_pooled_with_its_family_by_degrees_of_freedom():
    spreads = {"cnn2": spread(4e-4, 1e-4, 1), "cnn3": spread(2e-4, 2e-4, 6), "resnet50": spread(9.0)}
    noise = seed_noise("cnn2", FAMILIES, spreads)
    raw, sampling = (4e-4 + 6 * 2e-4) / 7, (1e-4 + 6 * 2e-4) / 7
    assert noise.variance == pytest.approx(raw - sampling)
    assert noise.degrees_of_freedom == pytest.approx(7 * ((raw - sampling) / raw) ** 2)
    assert (noise.corrected, noise.borrowed, noise.measured) == (True, "", ("cnn2", "cnn3"))


def test_a_model_of_two_repeats_alone_in_its_family_has_its_own_noise():
    noise = seed_noise("resnet50", FAMILIES, {"resnet50": spread(4e-4, 0.0, 1), "cnn3": spread(9.0)})
    assert (noise.variance, noise.degrees_of_freedom, noise.measured) == (pytest.approx(4e-4), 1, ("resnet50",))


@pytest.mark.parametrize("sampling", [1e-4, 3e-4], ids=["nothing left", "less than nothing left"])
def test_a_variance_of_which_nothing_is_left_is_not_corrected(sampling):
    noise = seed_noise("cnn2", FAMILIES, {"cnn2": spread(1e-4, sampling)})
    assert (noise.variance, noise.degrees_of_freedom, noise.corrected) == (pytest.approx(1e-4), 2, False)


def test_repeats_that_do_not_differ_have_no_noise():
    assert seed_noise("cnn2", FAMILIES, {"cnn2": spread(0.0)}).variance == 0.0


def test_a_model_trained_once_borrows_the_largest_of_its_family():
    spreads = {"cnn2": spread(1e-4), "cnn3": spread(2e-4), "resnet50": spread(9e-4), "best": None}
    noise = seed_noise("best", FAMILIES, spreads)
    assert (noise.variance, noise.borrowed, noise.measured) == (pytest.approx(2e-4), "family cnn", ("cnn3",))


def test_a_model_of_a_family_without_repeats_borrows_the_largest_of_all():
    noise = seed_noise("resnet50", FAMILIES, {"cnn2": spread(1e-4), "cnn3": spread(2e-4), "resnet50": None})
    assert (noise.variance, noise.borrowed) == (pytest.approx(2e-4), "all models")


def test_a_tuned_model_borrows_from_its_base():
    spreads = {"cnn2": spread(1e-4), "cnn3": spread(3e-4)}
    noise = seed_noise("best", FAMILIES, spreads, base="cnn2")
    assert (noise.variance, noise.borrowed, noise.measured) == (pytest.approx(1e-4), "cnn2", ("cnn2",))


def test_a_tuned_model_whose_base_has_two_repeats_borrows_what_the_base_is_pooled_from():
    spreads = {"cnn2": spread(1e-4, 0.0, 1), "cnn3": spread(3e-4, 0.0, 1)}
    noise = seed_noise("best", FAMILIES, spreads, base="cnn2")
    assert (noise.variance, noise.borrowed, noise.measured) == (pytest.approx(2e-4), "cnn2", ("cnn2", "cnn3"))


def test_a_tuned_model_whose_base_was_trained_once_borrows_what_the_base_borrows():
    noise = seed_noise("best", FAMILIES | {"best": "resnet"}, {"cnn2": spread(1e-4)}, base="resnet50")
    assert noise.borrowed == "all models"


def test_a_tuned_model_that_was_repeated_has_its_own():
    assert seed_noise("best", FAMILIES, {"best": spread(1e-4)}, base="cnn2").borrowed == ""


def test_without_any_repeats_the_noise_is_not_known():
    assert seed_noise("best", FAMILIES, {"cnn2": None}, base="cnn2") is None
