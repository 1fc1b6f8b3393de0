"""Searches on workers of Dask: the same record however many there are, and whatever ends.

Runs are those of trainings.py, which take no time, but for the last tests. A cluster is real processes on this
machine: a scheduler and two workers with their nannies.
"""

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import leader
import numpy as np
import pace
import project
import psutil
import pytest
import trainings

from study.base import files, machine
from study.base.runtime import UserError
from study.cluster import client, worker
from study.data import arrays

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed", reason="`make extras` is to install its packages")

pytestmark = pytest.mark.slow
RECORD = ("metrics/trials.csv", "metrics/tune.json")
HERE = Path(__file__).parent
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A folder that looks like the repository, with tiny data; the working folder."""
    for name in ("stages", "study", "dvc.yaml", "params.yaml", worker.LOCK):
        (tmp_path / name).symlink_to(project.ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")
    monkeypatch.delenv(client.WORKERS, raising=False)
    monkeypatch.delenv(client.ADDRESS, raising=False)
    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 1, 0, 1], np.uint8)
    split = {"x_train": images, "y_train": labels, "x_validation": images, "y_validation": labels}
    files.write_npz(arrays.PREPARED, **split, class_names=np.array(["a", "b"]))
    return tmp_path


@pytest.fixture
def short(monkeypatch) -> None:
    """Runs take no time, in processes that this one starts."""
    monkeypatch.setattr(worker, "_prepare", trainings.prepare)
    monkeypatch.setattr(worker, "_train", trainings.train)
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def record(*changes: str) -> dict[str, bytes]:
    """Search, and what it wrote; the next search begins anew."""
    leader.main(*changes)
    shutil.rmtree(files.CHECKPOINTS, ignore_errors=True)
    return written()


def written() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in RECORD}


@pytest.fixture
def expected(workspace, short, monkeypatch) -> dict[str, bytes]:
    """The record of a search in this process."""
    from study.search import rounds
    from study.training.task import task_of

    def outcomes(architecture, prepared, runs, workers):
        return [(trainings.result(task_of(run)), None) for run in runs]

    with monkeypatch.context() as patch:
        patch.setattr(rounds, "outcomes", outcomes)
        return record()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_record_of_one_process(expected, monkeypatch, workers):
    monkeypatch.setenv(client.WORKERS, str(workers))
    assert record() == expected


def test_processes_of_this_machine_need_nothing_of_dask(expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(client.WORKERS, "2")
    assert record() == expected


CONFIGURATIONS = {
    "malformed": ("distributed: [", "A dask config file at '.*dask.yaml' is malformed"),
    "encryption is required": ("distributed: {comm: {require-encryption: true}}", "encryption required by Dask"),
    "a time that is none": ("distributed: {comm: {timeouts: {connect: soon}}}", "'Invalid time unit: soon"),
}


@pytest.mark.parametrize(("text", "reason"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_configuration_of_dask_that_cannot_serve_is_one_line(workspace, server, text, reason):
    (workspace / "dask.yaml").write_text(text)
    settings = {client.ADDRESS: "tcp://127.0.0.1:1", "DASK_CONFIG": "dask.yaml", "PYTHONPATH": str(HERE)}
    environment = server.environment | settings
    done = project.shell(workspace, server.python, "-m", "leader", check=False, **environment)
    assert done.returncode == 1
    assert re.fullmatch(f"error: {client.ADDRESS}: cannot connect to tcp://127.0.0.1:1: {reason}.*\n", done.stderr)


def assert_kills_change_nothing(expected, monkeypatch, kills: int, victims: Callable[[], list[int]]) -> None:
    """Search, again and again, until so many of the victims, by their process ids, were killed at random instants."""
    draw, killed, done = random.Random(SEED), [], threading.Event()

    def kill() -> None:
        while len(killed) < kills and not done.wait(draw.uniform(0.05, 0.5)):
            if there := victims():
                chosen = draw.choice(sorted(there))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chosen, signal.SIGKILL)
                    killed.append(chosen)

    print(f"SEED={SEED}")
    monkeypatch.setenv("TRAININGS_SECONDS", "0.2")
    killing = threading.Thread(target=kill)
    killing.start()
    try:
        while killing.is_alive():
            assert record() == expected
    finally:
        done.set()
        killing.join()
    assert len(killed) == kills


few_or_many = pytest.mark.parametrize(
    "kills", [pytest.param(3, id="few"), pytest.param(20, id="many", marks=pytest.mark.long)]
)


def started_by(process: int) -> list[int]:
    """The processes that multiprocessing has started in another one."""
    found = []
    for child in psutil.Process(process).children():
        with contextlib.suppress(psutil.Error):  # it has ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@few_or_many
def test_killed_training_processes_cost_no_more_than_their_runs(expected, monkeypatch, kills):
    monkeypatch.setenv(client.WORKERS, "2")
    monkeypatch.setattr(client, "RETRIES", kills)
    assert_kills_change_nothing(expected, monkeypatch, kills, lambda: started_by(os.getpid()))


def test_of_many_trials_each_is_finished_once(workspace, short, monkeypatch):
    monkeypatch.setenv(client.WORKERS, "4")
    monkeypatch.setenv("TRAININGS_LOG", str(workspace / "log.txt"))
    record("trials=200", "round_size=200", "rungs=1")
    finished = Counter((workspace / "log.txt").read_text().splitlines())
    assert len(finished) == 200
    assert set(finished.values()) == {1}


def test_a_fault_of_the_users_in_a_run_is_one_line(workspace, short, monkeypatch):
    monkeypatch.setenv(client.WORKERS, "2")
    monkeypatch.setenv("TRAININGS_BROKEN", "params.yaml: one line")
    with pytest.raises(UserError, match=r"^params\.yaml: one line$"):
        leader.main()


class Remote:
    """A scheduler and its workers, as one starts them by hand, but with the runs of trainings.py."""

    def __init__(self, folder: Path, **environment: str):
        self.folder = folder
        added = {"PYTHONPATH": str(HERE), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "20"}
        self.environment = project.environment(**added, **environment)
        self.processes: dict[str, subprocess.Popen] = {}
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", folder / "scheduler.json")
        file = folder / "scheduler.json"
        eventually(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def start(self, name: str, *options: str | Path, cwd: Path = project.ROOT, preload: str = worker.__name__) -> None:
        """Start the scheduler, or a worker of this name."""
        if name != "scheduler":
            options = (self.address, "--nthreads", "1", "--name", name, "--local-directory", self.folder, *options)
            options = (*options, "--preload", preload, "--preload", "trainings")
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", name if name == "scheduler" else "worker", "--no-dashboard", *options],
                cwd=cwd,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def count(self) -> int:
        """The workers that have joined."""
        with distributed.Client(self.address) as client:
            return len(client.sync(client.scheduler.identity)["workers"])

    def pids(self) -> list[int]:
        """Of the workers; their nannies start others in their place."""
        return [
            each for name, process in self.processes.items() if name != "scheduler" for each in started_by(process.pid)
        ]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + pace.seconds(project.SECONDS)
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory) -> Iterator[Remote]:
    remote = Remote(tmp_path_factory.mktemp("cluster"), TRAININGS_SECONDS="0.1")
    try:
        remote.start("one")
        remote.start("two")
        eventually(lambda: remote.count() == 2)
        yield remote
    finally:
        remote.close()


@pytest.fixture
def remote(two_workers, workspace, monkeypatch) -> Remote:
    """The workers, named in the environment."""
    monkeypatch.setenv(client.ADDRESS, two_workers.address)
    return two_workers


def test_a_cluster_gives_the_record_of_one_process(expected, remote, capsys):
    """Its workers lack the data, which come from the leader."""
    assert record() == expected
    assert f"{remote.address}: 2 workers\n" in capsys.readouterr().out


def test_a_table_of_dask_without_workers_is_not_taken_for_their_absence(expected, remote, monkeypatch, capsys):
    """Every second table is empty."""
    sync, tables = distributed.Client.sync, itertools.count()

    def emptied(*arguments, **options):
        answer = sync(*arguments, **options)
        is_table = isinstance(answer, dict) and "workers" in answer
        return answer | {"workers": {}} if is_table and next(tables) % 2 else answer

    monkeypatch.setattr(distributed.Client, "sync", emptied)
    monkeypatch.setattr(client, "WATCH_SECONDS", 0.001)
    assert record() == expected
    assert next(tables) > 10
    assert re.findall(".*worker.*", capsys.readouterr().out) == [f"{remote.address}: 2 workers"]


@pytest.fixture
def busy() -> Iterator[None]:
    """Twice as many processes compute as there are cores."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * machine.cores())]
    yield
    for process in processes:
        process.kill()
        process.wait()


def test_processes_of_a_busy_machine_give_the_record_of_one(expected, busy, monkeypatch, capsys):
    monkeypatch.setenv(client.WORKERS, "2")
    assert record() == expected


def test_a_cluster_of_a_busy_machine_gives_the_record_of_one_process(expected, busy, remote, capsys):
    assert record() == expected
    assert re.findall(".*worker.*", capsys.readouterr().out) == [f"{remote.address}: 2 workers"]


@few_or_many
def test_killed_workers_cost_no_more_than_their_runs(expected, remote, monkeypatch, kills):
    assert_kills_change_nothing(expected, monkeypatch, kills, remote.pids)


def test_a_full_disk_costs_a_worker_nothing(expected, remote):
    """The processes that train may write to no file, once they have begun."""
    record()
    training = [psutil.Process(pid) for worker_pid in remote.pids() for pid in started_by(worker_pid)]
    assert training
    for each in training:
        each.rlimit(psutil.RLIMIT_FSIZE, (0, 0))
    assert record() == expected


@pytest.fixture
def other(tmp_path) -> Path:
    """A clone of other code."""
    other = tmp_path / "other"
    for folder in ("study", "stages"):
        shutil.copytree(project.ROOT / folder, other / folder)
    shutil.copy(project.ROOT / worker.LOCK, other)
    with (other / "study/base/files.py").open("a") as file:
        file.write("# another\n")
    return other


def test_a_worker_of_other_code_gets_nothing_and_is_counted(expected, remote, other, capsys):
    remote.start("other", "--no-nanny", cwd=other)
    remote.start("none", "--no-nanny", preload="trainings")
    try:
        eventually(lambda: remote.count() == 4)
        assert record() == expected
    finally:
        for name in ("other", "none"):
            remote.stop(name)
        eventually(lambda: remote.count() == 2)
    others = "2 more with other code or packages, or without --preload study.cluster.worker"
    assert f"{remote.address}: 2 workers; {others}\n" in capsys.readouterr().out


def test_dask_restarts_a_worker_whose_clone_was_updated(expected, remote, other, capsys):
    remote.start("other", cwd=other)
    try:
        eventually(lambda: remote.count() == 3)
        shutil.copy(project.ROOT / "study/base/files.py", other / "study/base/files.py")
        with distributed.Client(remote.address) as client:
            client.restart()
        assert record() == expected
    finally:
        remote.stop("other")
        eventually(lambda: remote.count() == 2)
    assert f"{remote.address}: 3 workers\n" in capsys.readouterr().out


def run_leader(server, remote: Remote) -> subprocess.Popen:
    """A search in a process of its own, which has printed that a run has ended."""
    settings = {client.ADDRESS: remote.address, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": f"{pace.seconds(2)}s"}
    environment = project.environment(**server.environment, **settings)
    process = subprocess.Popen(
        [server.python, "-m", "leader"],
        env=environment | {"PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "validation ROC-AUC" in line:
            return process
    raise AssertionError(process.stderr.read())


def test_a_killed_leader_goes_on_with_what_was_trained(expected, remote, server, workspace, monkeypatch):
    leading = run_leader(server, remote)
    leading.kill()
    leading.wait()
    kept = list(files.CHECKPOINTS.rglob("result.json"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    leader.main()
    assert written() == expected
    assert kept
    assert [path.stat().st_mtime_ns for path in kept] == stamps


def test_a_killed_scheduler_is_one_line_and_the_next_search_goes_on(expected, server, monkeypatch, tmp_path):
    with contextlib.closing(Remote(tmp_path)) as remote:
        remote.start("one")
        leading = run_leader(server, remote)
        remote.stop("scheduler")
        error = leading.communicate(timeout=pace.seconds(project.SECONDS))[1]
    what = "the scheduler is gone; start it and its workers, then `dvc repro` goes on from what was trained"
    assert error == f"error: {remote.address}: {what}\n"
    assert leading.returncode == 1
    kept = list(files.CHECKPOINTS.rglob("result.json"))
    assert kept
    monkeypatch.setenv(client.WORKERS, "2")
    leader.main()
    assert written() == expected


def test_without_a_scheduler_the_address_is_named(workspace, monkeypatch):
    monkeypatch.setenv(client.ADDRESS, "tcp://127.0.0.1:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),
        pytest.raises(UserError, match=r"^DASK_SCHEDULER_ADDRESS: cannot connect to tcp://127\.0\.0\.1:1: "),
    ):
        leader.main()


WRITTEN = {
    f"train.{project.SMALL_MODEL}": ("models/", "metrics/validation/"),
    "tune": ("metrics/tune.json", "metrics/trials.csv"),
}
REAL = [(2, "tune"), *(pytest.param(*each, marks=pytest.mark.long) for each in itertools.product((1, 2, 4), WRITTEN))]


@pytest.mark.parametrize(("workers", "stage"), REAL)
def test_real_runs_give_the_bytes_of_one_process(prepared_run, small_run, server, tmp_path, workers, stage):
    """A model with its repeats, and a search."""
    assert_runs_give_the_bytes_of_one_process(prepared_run, small_run, server, tmp_path, workers, stage)


@pytest.mark.long
def test_real_runs_of_a_busy_machine_give_the_bytes_of_one_process(prepared_run, small_run, server, tmp_path, busy):
    assert_runs_give_the_bytes_of_one_process(prepared_run, small_run, server, tmp_path, 2, "tune")


def assert_runs_give_the_bytes_of_one_process(prepared_run, small_run, server, tmp_path, workers, stage) -> None:
    clone = Path(shutil.copytree(prepared_run, tmp_path / "clone", symlinks=True))
    validation = "metrics/validation"
    if stage == "tune":  # which reads how the model scores
        shutil.copytree(small_run[0] / validation, clone / validation, dirs_exist_ok=True)
    environment = server.environment | {client.WORKERS: str(workers)}
    done = project.shell(clone, server.python, "-m", f"stages.{stage}", **environment)
    assert f"{client.WORKERS}={workers}: " in done.stdout
    assert done.stderr == ""
    expected, found = project.outputs(small_run[0]), project.outputs(clone)
    written = {name: digest for name, digest in found.items() if name.startswith(WRITTEN[stage])}
    assert len(written) >= len(WRITTEN[stage])
    assert written == {name: expected[name] for name in written}


@pytest.mark.long
@pytest.mark.parametrize("seconds", [3, 6, 12])
def test_ctrl_c_is_one_line_and_leaves_no_process(prepared_run, small_run, tmp_path, seconds):
    """Processes begin, import TensorFlow, and train after so many seconds, more or less."""
    clone = Path(shutil.copytree(prepared_run, tmp_path / "clone", symlinks=True))
    shutil.copytree(small_run[0] / "metrics", clone / "metrics", dirs_exist_ok=True)
    searching = subprocess.Popen(
        [sys.executable, "-m", "stages.tune"],
        cwd=clone,
        env=project.environment(**{client.WORKERS: "2"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(pace.seconds(seconds))
    os.killpg(searching.pid, signal.SIGINT)
    error = searching.communicate(timeout=pace.seconds(project.SECONDS))[1]
    assert (searching.returncode, error) == (130, "stopped; `dvc repro` continues after the last finished epoch\n")
    with contextlib.suppress(ProcessLookupError):
        eventually(lambda: os.killpg(searching.pid, 0))  # until there is none left
