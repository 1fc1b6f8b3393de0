"""Which workers the environment names, and when one trains."""

import importlib.metadata
import json
import sys
from collections.abc import Callable
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
    monkeypatch.setenv(client.ADDRESS, "tls://127.0.0.1:8786")
    message = r"^DASK_SCHEDULER_ADDRESS is set, which needs the package distributed; run `make extras`$"
    with pytest.raises(UserError, match=message), client.connected(5):
        pass


CHANGES = {
    "a module": (worker.inputs, "remembered_code", lambda: {"study/base/files.py": "another"}),
    "a locked package": (importlib.metadata, "version", lambda name: "another"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_worker_offers_another_place_if_this_differs(monkeypatch, change):
    ours = worker.place()
    monkeypatch.setattr(*change)
    assert worker.place.__wrapped__() != ours


@pytest.fixture
def process(monkeypatch) -> SimpleNamespace:
    """In the place of a process that trains: what it answers by the name of the function, and what it was asked."""
    process = SimpleNamespace(answers={"_prepare": worker.place(), "_train": ({}, [])}, asked=[])

    class Pipe:
        def send(self, message):
            process.asked.append(message[0].__name__)

        def recv(self):
            answer = process.answers[process.asked[-1]]
            if isinstance(answer, Exception):
                raise answer
            return answer, None

    theirs = SimpleNamespace(close=lambda: None)
    context = SimpleNamespace(
        Pipe=lambda: (Pipe(), theirs), Process=lambda **options: SimpleNamespace(start=lambda: None)
    )
    monkeypatch.setattr(worker.multiprocessing, "get_context", lambda method: context)
    monkeypatch.setattr(worker.signal, "pthread_sigmask", lambda how, signals: None)
    monkeypatch.setattr(worker, "_content", lambda data: b"")
    monkeypatch.setattr(worker, "_thread", SimpleNamespace())
    return process


def test_a_worker_whose_code_changed_after_it_began_trains_nothing(process):
    process.answers["_prepare"] = "study-another"
    message = r"^a file of stages or study, or a package, changed on \S+ after its worker had begun; start it anew$"
    for _ in range(2):
        with pytest.raises(UserError, match=message):
            worker.run('{"data": "0"}', 2)
    assert process.asked == ["_prepare", "_prepare"]


def test_a_process_trains_many_runs_of_the_same_threads_and_data(process):
    for threads, data in ((2, "a"), (2, "a"), (1, "a"), (1, "b")):
        worker.run(json.dumps({"data": data}), threads)
    assert process.asked == ["_prepare", "_train", "_train", "_prepare", "_train", "_prepare", "_train"]


def test_in_the_place_of_a_process_that_ended_another_begins(process):
    process.answers["_train"] = EOFError()
    with pytest.raises(ChildProcessError):
        worker.run('{"data": "0"}', 2)
    process.answers["_train"] = {}, ["weights"]
    assert worker.run('{"data": "0"}', 2) == ({}, ["weights"])
    assert process.asked == ["_prepare", "_train"] * 2


class Scheduler:
    """In the place of Dask's client: what workers the scheduler knows, by their places."""

    def __init__(self, *places: str):
        self.places = places
        self.scheduler = SimpleNamespace(identity=self.identity)

    def sync(self, function):
        return function()

    def identity(self) -> dict:
        return {"workers": {str(number): {"resources": {place: 1.0}} for number, place in enumerate(self.places)}}


@pytest.fixture
def look_after(monkeypatch) -> Callable[..., None]:
    """Let a leader look after the workers of these places, after this number of seconds."""
    clock = SimpleNamespace(now=1.0)
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: clock.now))
    workers = client.Workers("here", None, Scheduler())

    def look_after(*places: str, after: float = 1) -> None:
        clock.now += after
        workers._client.places = places
        workers._look_after()

    return look_after


def test_workers_that_are_absent_for_long_are_said_to_be_and_no_others(look_after, capsys):
    here = worker.place()
    for places in ([here, here], [here, here], [], [here, here], [], [here]):
        look_after(*places, after=2 * client.ABSENT_SECONDS)
    look_after()
    look_after(after=client.ABSENT_SECONDS - 1)
    look_after()
    look_after(here)
    lines = ["here: 2 workers", "here: 1 worker", "here: no worker; waiting for one", "here: 1 worker"]
    assert capsys.readouterr().out.splitlines() == lines


def test_once_workers_are_absent_for_long_a_file_that_changed_is_named(look_after, monkeypatch):
    def check() -> None:
        raise UserError("a file")

    monkeypatch.setattr(client, "check_inputs", check)
    look_after()
    look_after(after=client.ABSENT_SECONDS - 1)
    with pytest.raises(UserError, match="^a file$"):
        look_after()


def test_workers_that_cannot_have_runs_are_counted(look_after, capsys):
    look_after(worker.place(), "study-another", "gpu")
    others = "2 more with other code or packages, or without --preload study.cluster.worker"
    assert capsys.readouterr().out == f"here: 1 worker; {others}\n"
