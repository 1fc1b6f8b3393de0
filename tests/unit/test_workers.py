"""Which workers the environment names, and when one trains."""

import re
import sys
from types import SimpleNamespace

import pytest

from study.base.runtime import UserError
from study.cluster import client, worker

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


@pytest.mark.parametrize(("environment", "runs"), [({}, 5), ({client.WORKERS: "4"}, 1), ({client.WORKERS: ""}, 5)])
def test_runs_stay_in_this_process_unless_there_are_several_for_workers(monkeypatch, environment, runs):
    monkeypatch.setattr(client, "os", SimpleNamespace(environ=environment))
    with client.connected(runs) as executor:
        assert executor is None


def test_without_the_package_the_variable_and_the_remedy_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(client.WORKERS, "2")
    message = r"^STUDY_WORKERS is set, which needs the package distributed; run `make extras`$"
    with pytest.raises(UserError, match=message), client.connected(5):
        pass


@pytest.mark.parametrize("name", ["study/base/files.py", "keras"])
def test_a_worker_offers_another_place_if_a_module_or_a_locked_package_differs(name):
    ours = worker.identity()
    theirs = ours | {name: "another"}
    assert name in ours
    assert worker.place(theirs) != worker.place(ours)
    assert worker.differing(ours, theirs) == [name]


@pytest.fixture
def process(monkeypatch) -> SimpleNamespace:
    """In the place of a process that trains: what it answers, by the name of the function, and what it was asked."""
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster: make extras")
    process = SimpleNamespace(answers={"identity": worker.identity(), "_has": True, "_train": {}}, asked=[], ended=0)

    class Trainer:
        def __init__(self, threads: int):
            self.threads = threads

        def call(self, function, *arguments):
            process.asked.append(function.__name__)
            answer = process.answers.get(function.__name__)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def end(self) -> None:
            process.ended += 1

    class DaskWorker:
        """In the place of a worker that Dask started."""

    dask_worker = DaskWorker()
    monkeypatch.setattr(distributed, "get_worker", lambda: dask_worker)
    monkeypatch.setattr(worker, "Trainer", Trainer)
    return process


def test_a_worker_whose_code_changed_after_it_began_trains_nothing(process):
    process.answers["identity"] = worker.identity() | {"study/base/files.py": "changed"}
    message = r"study/base/files\.py on \S+ changed after its worker had begun; start it anew"
    assert re.fullmatch(message, worker.run('{"data": "0"}', 2)["fault"])
    assert process.ended == 1
    assert "_train" not in process.asked


def test_a_process_trains_many_runs_of_the_same_threads(process):
    for threads in (2, 2, 1):
        worker.run('{"data": "0"}', threads)
    assert process.asked.count("_begin") == 2
    assert process.asked.count("_train") == 3
    assert process.ended == 1


def test_after_a_fault_of_its_process_a_worker_begins_another(process):
    process.answers["_train"] = ChildProcessError("killed")
    with pytest.raises(ChildProcessError):
        worker.run('{"data": "0"}', 2)
    assert process.ended == 1
    process.answers["_train"] = {"result": {}}
    assert worker.run('{"data": "0"}', 2) == {"result": {}}
    assert process.asked.count("_begin") == 2
