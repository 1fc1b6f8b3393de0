"""The simulation of workers, and what the benchmark `scaling` puts in the place of trainings."""

import json
from itertools import repeat

import pytest

from benchmarks import one_search, scaling
from study.cluster import worker
from study.training.task import Result


@pytest.mark.parametrize(
    ("trainings", "workers", "seconds"),
    [
        pytest.param([1, 1, 1, 1], 4, 1, id="as many as workers"),
        pytest.param([1, 1, 1, 1, 1], 4, 2, id="one more"),
        pytest.param([3, 1, 1, 1], 2, 3, id="a long one first"),
        pytest.param([1, 1, 1, 3], 2, 4, id="a long one last"),
    ],
)
def test_a_worker_that_is_free_takes_the_next_training(trainings, workers, seconds):
    assert scaling.makespan(trainings, workers) == seconds


@pytest.mark.parametrize(
    ("round_size", "rungs", "share"),
    [
        pytest.param(10, 1, 1, id="a round of as many as workers"),
        pytest.param(5, 1, 1 / 2, id="half as many"),
        pytest.param(15, 1, 3 / 4, id="half as many more"),
        pytest.param(30, 2, 1, id="every rung fills the workers"),
        pytest.param(15, 2, 3 / 5, id="no rung does"),
    ],
)
def test_workers_are_idle_where_a_rung_does_not_fill_them(round_size, rungs, share):
    assert scaling.efficiency(30, 10, round_size, rungs, 3, spread=0.0) == pytest.approx(share)


def test_the_more_durations_differ_the_more_workers_wait_for_the_last_trial():
    shares = [scaling.efficiency(100, 10, 10, 1, 3, spread) for spread in (0.0, 0.2, 0.5)]
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) == 3


def test_the_workers_that_sleep_are_given_the_trainings_of_the_simulation():
    given = []

    def slept(trainings: list[float], workers: int) -> float:
        given.append([round(each, 3) for each in trainings])
        return 1.0

    assert scaling.efficiency(6, 4, 6, 2, 3, spread=0.0, makespan=slept) == pytest.approx((6 / 3 + 2) / (4 * 2))
    assert given == [[0.333] * 6, [1.0] * 2]


def test_a_trial_that_is_not_trained_answers_as_a_worker_does():
    task = {"name": "tune/cnn-7", "epochs": 3}
    record, weights = worker.unpack(one_search.untrained(json.dumps(task), 1), "trial 7")
    assert record["result"].keys() == Result.__annotations__.keys()
    assert len(record["result"]["history"]) == 3
    assert not weights


def test_the_work_of_a_leader_is_added_up_by_its_name(monkeypatch):
    monkeypatch.setattr(one_search.time, "perf_counter", iter(range(4)).__next__)
    seconds = {"asking": 0.0, "telling": 0.0}
    asked = one_search.timed(lambda name: name, "asking", seconds)
    assert list(map(asked, repeat("trial", 2))) == ["trial"] * 2
    assert seconds == {"asking": 2.0, "telling": 0.0}


def test_the_table_of_rounds_has_a_row_per_size(monkeypatch):
    monkeypatch.setattr(scaling, "MANY", 20)
    monkeypatch.setattr(scaling, "DRAWS", 1)
    assert len(list(scaling.round_rows())) == 2 + len(scaling.SIZES)
