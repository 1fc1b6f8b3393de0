"""The check on real trainings counts the pairs of one block that are told apart."""

import numpy as np
import pytest

from benchmarks import aa
from study.base import files, inputs
from study.base.runtime import UserError, check_inputs

LABELS = np.arange(200) % 4


def trainings(spread: float, count: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas of one block whose seeds have this standard deviation, on images that all trainings find equally hard."""
    areas = 0.9 + spread * np.random.default_rng(0).normal(size=count)
    return areas, np.tile(np.random.default_rng(1).uniform(0, 0.2, len(LABELS)), (count, 1)), LABELS


def test_twenty_pairs_share_no_training_and_each_four_use_all():
    pairs = list(aa.pairs(24, 20))
    assert len(pairs) == 20
    for start in range(0, 20, 4):
        assert sorted(np.concatenate(pairs[start : start + 4]).ravel()) == list(range(24))


def test_trainings_that_do_not_differ_are_not_told_apart():
    assert aa.told_apart(*trainings(0.0), 20) == 0


def test_about_one_pair_of_one_block_in_twenty_is_told_apart():
    assert 4 <= aa.told_apart(*trainings(0.005, 1200), 200) <= 18


def test_two_blocks_in_the_guise_of_one_are_told_apart():
    areas, shortfalls, labels = trainings(0.0005)
    one, other = next(aa.pairs(24, 1))
    areas[one] += 0.01
    assert aa.answer(areas, shortfalls, labels, one, other).p < 0.05


@pytest.fixture
def scored(monkeypatch, tmp_path):
    """The check with the stages left out; `told_apart` pairs are told apart."""
    found = {}
    arrays = dict(zip(("areas", "shortfalls", "labels"), trainings(0.005), strict=True))
    monkeypatch.setattr(aa.workspace, "run", lambda *arguments: None)
    monkeypatch.setattr(aa.workspace, "apart", lambda function, folder: files.write_npz(folder / aa.SCORED, **arrays))
    monkeypatch.setattr(aa, "told_apart", lambda *arguments: found["false"])
    return found


@pytest.mark.parametrize("false", [0, 3])
def test_few_pairs_that_are_told_apart_pass(scored, capsys, false):
    scored["false"] = false
    aa.main()
    assert f"told apart: {false} of 20 pairs" in capsys.readouterr().out


def test_what_was_read_in_the_folder_of_a_benchmark_is_forgotten_with_it(scored, monkeypatch):
    monkeypatch.setattr(inputs._memory, "read", {})
    scored["false"] = 0
    aa.main()
    check_inputs()


def test_four_pairs_that_are_told_apart_fail(scored):
    scored["false"] = 4
    with pytest.raises(UserError, match="^4 of 20 pairs of one block are told apart; allowed: fewer than 4$"):
        aa.main()
