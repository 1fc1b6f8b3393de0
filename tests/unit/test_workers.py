"""Which workers the environment names, which of them hang, and what they answer."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from study.base.runtime import UserError
from study.cluster import client, worker
from study.cluster.client import Cluster

ADDRESSES = {
    "loopback": ("tcp://127.0.0.1:8786", True),
    "loopback by name": ("tcp://localhost:8786", True),
    "loopback of IPv6": ("tcp://[::1]:8786", True),
    "another loopback": ("tcp://127.0.1.1:8786", True),
    "encrypted": ("tls://10.0.0.5:8786", True),
    "encrypted, by name": ("tls://scheduler.example.org:8786", True),
    "of the network": ("tcp://10.0.0.5:8786", False),
    "all addresses": ("tcp://0.0.0.0:8786", False),
    "by name": ("tcp://scheduler:8786", False),
    "like localhost": ("tcp://localhost.example.org:8786", False),
    "without a protocol": ("10.0.0.5:8786", False),
    "of a web socket": ("ws://127.0.0.1:8786", False),
    "of a process": ("inproc://127.0.0.1/1/1", False),
    "without a host": ("tls://", False),
}


@pytest.mark.parametrize(("address", "allowed"), ADDRESSES.values(), ids=ADDRESSES)
def test_a_scheduler_is_on_this_machine_or_encrypted(address, allowed):
    environment = {client.ADDRESS: address}
    if allowed:
        assert client._chosen(environment) == (0, address)
    else:
        with pytest.raises(
            UserError, match=r"^DASK_SCHEDULER_ADDRESS is '.*'; allowed: tls://HOST:PORT, and tcp:// on"
        ):
            client._chosen(environment)


@pytest.mark.parametrize("workers", ["0", "-1", "1.5", "two", " 2", "1000", "²"])
def test_a_number_of_workers_that_cannot_be_meant_is_named(workers):
    with pytest.raises(UserError, match=r"^STUDY_WORKERS is '.*'; allowed: 1 to 256, or unset$"):
        client._chosen({client.WORKERS: workers})


def test_workers_and_an_address_cannot_both_be_meant():
    with pytest.raises(UserError, match=r"^STUDY_WORKERS and DASK_SCHEDULER_ADDRESS are both set; unset one of them$"):
        client._chosen({client.WORKERS: "2", client.ADDRESS: "tls://host:1"})


@pytest.mark.parametrize(("environment", "trainings"), [({}, 5), ({client.WORKERS: "4"}, 1), ({client.WORKERS: ""}, 5)])
def test_trainings_run_in_this_process_unless_there_are_several_for_workers(monkeypatch, environment, trainings):
    monkeypatch.setattr(client, "os", SimpleNamespace(environ=environment))
    with client.connected(trainings) as executor:
        assert executor is None


def test_without_the_package_the_variable_and_the_remedy_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(client.WORKERS, "2")
    message = r"^STUDY_WORKERS is set, which needs the package distributed; run `make extras`$"
    with pytest.raises(UserError, match=message), client.connected(5):
        pass


@pytest.fixture
def watched(monkeypatch) -> Cluster:
    """A cluster whose slowest epoch took 100 seconds; `now` is its clock."""
    watched = Cluster.__new__(Cluster)
    watched._keys = {"a", "b", "c", "d"}
    watched._busy, watched._slowest, watched._patience = {}, 100.0, 5
    watched.now = 0.0
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: watched.now))
    return watched


def hanging(watched: Cluster, seconds: float, *tasks: str) -> list[str]:
    """The workers that hang so many seconds later, where one has these tasks and another has none."""
    watched.now += seconds
    return watched._hanging({"one": tasks, "idle": ()}, epochs=2)


def test_a_worker_hangs_that_has_the_same_tasks_for_too_long(watched):
    assert [hanging(watched, seconds, "a", "b") for seconds in (0, 1000, 1)] == [[], [], ["one"]]


def test_a_worker_that_finishes_tasks_does_not_hang(watched):
    assert [hanging(watched, 600, *tasks) for tasks in ("abc", "ab", "a", "d")] == [[], [], [], []]


def test_a_worker_that_was_ended_has_its_time_again(watched):
    assert [hanging(watched, seconds, "a") for seconds in (0, 1001, 1, 1000, 1)] == [[], ["one"], [], [], ["one"]]


def test_a_worker_that_trains_for_another_leader_does_not_hang(watched):
    assert [hanging(watched, 1e6, "a", "of another") for _ in range(3)] == [[], [], []]


def test_no_worker_hangs_before_a_training_has_shown_how_long_one_takes(watched):
    watched._slowest = 0.0
    assert [hanging(watched, 1e6, "a") for _ in range(3)] == [[], [], []]


def test_what_a_worker_packs_is_unpacked():
    weights = [np.arange(6, dtype=np.float32).reshape(2, 3) + number for number in range(12)]
    record, unpacked = worker.unpack(worker.pack({"roc_auc": 0.1 + 0.2}, weights), "an answer")
    assert record == {"roc_auc": 0.1 + 0.2}
    assert all(map(np.array_equal, unpacked, weights))


def test_a_damaged_answer_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^trial 1 of cnn2: is not a readable \.npz of plain arrays"):
        worker.unpack(b"damaged", "trial 1 of cnn2")


def test_a_worker_whose_code_changed_after_it_began_is_restarted_and_trains_nothing(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster: make extras")

    class OfOtherCode:
        threads, ended = 2, False

        def call(self, function) -> dict[str, str]:
            return {"study/base/files.py": "changed"}

        def end(self) -> None:
            OfOtherCode.ended = True

    class DaskWorker:
        """In the place of one that Dask started."""

        def close_gracefully(self, restart: bool) -> None:
            """What `run` asks its loop for."""

    asked, dask_worker = [], DaskWorker()
    dask_worker.loop = SimpleNamespace(add_callback=lambda callback, **options: asked.append((callback, options)))
    monkeypatch.setattr(distributed, "get_worker", lambda: dask_worker)
    monkeypatch.setattr(worker, "Trainer", lambda threads: OfOtherCode())
    with pytest.raises(distributed.Reschedule):
        worker.run('{"data": "0"}', 2)
    assert asked == [(dask_worker.close_gracefully, {"restart": True})]
    assert OfOtherCode.ended
