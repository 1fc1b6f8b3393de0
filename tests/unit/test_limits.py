"""The simulation behind the limit of `make verify` has the noise and the distances of two runs."""

import numpy as np
import pytest

from benchmarks import limits


def test_the_noise_is_that_of_the_model():
    variance, degrees = limits.noise(np.full(4, 0.003), 20_000, np.random.default_rng(0))
    assert variance.mean() == pytest.approx(0.003**2, rel=0.02)
    assert (degrees <= 2).all()


def test_without_noise_of_seeds_the_distance_is_that_of_the_draw_of_images():
    distance, p = limits.simulated(np.zeros(4), 20_000)
    assert (distance**2).mean() < 1
    assert (p < 0.05).mean() < 0.05


def test_equal_seeds_pass_a_limit_of_a_p_value_as_often_as_it_says():
    _, p = limits.simulated(np.full(4, 0.003), 20_000)
    assert 0.02 < (p < 0.05).mean() < 0.05


def test_a_model_that_depends_more_on_the_seed_than_others_passes_it_no_more_often():
    _, p = limits.simulated(np.array([0.0, 0.0, 0.0, 0.0065]), 20_000)
    assert (p < 0.05)[:, 3].mean() < 0.055


def test_the_table_has_a_row_per_case(capsys, monkeypatch):
    monkeypatch.setattr(limits, "RUNS", 10)
    limits.main()
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(limits.SEEDS)
