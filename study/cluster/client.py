"""Trainings on other processes of this machine, or on other machines, by an executor of Dask.

Which, the environment says, since it changes no result: STUDY_WORKERS is a number of processes to start here,
DASK_SCHEDULER_ADDRESS a cluster that is there. Dask sends tasks to workers, and again when one dies. This module says
which workers may have them, keeps what was trained, and has a worker that hangs restarted.
"""

import contextlib
import ipaddress
import json
import logging
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.base.runtime import UserError, check_inputs, first_line
from study.cluster import worker
from study.data import arrays
from study.training.checkpoint import Checkpoint
from study.training.task import Result, Task, checkpoint_of_task

if TYPE_CHECKING:
    from distributed import Client, Security

WORKERS, ADDRESS = "STUDY_WORKERS", "DASK_SCHEDULER_ADDRESS"
MOST_WORKERS = 256
RETRIES = 5  # of a training that ends by a fault of its machine
RESTART_SECONDS = 30
WATCH_SECONDS = 1
# A worker hangs that has finished nothing for so many times the longest that a training may take, judged by the slowest
# epoch so far, and for so many seconds. The factor doubles with each restart: what is only slow ends some day.
PATIENCE, LEAST_SECONDS = 5, 120
PRELOAD = worker.__name__
QUIET = ("distributed", "distributed.client", "tornado.application", "asyncio")  # loggers; faults come as exceptions


@contextlib.contextmanager
def connected(trainings: int = MOST_WORKERS) -> Iterator["Cluster | None"]:
    """The workers that the environment names, for at most so many trainings; None: they are to run in this process.

    One training alone starts no worker on this machine. Raises UserError where the environment names no workers that
    can be had.
    """
    workers, address = _chosen(os.environ)
    if address:
        with _remote(address) as client:
            yield Cluster(client, address)
    elif workers and trainings > 1:
        with _local(min(workers, trainings)) as client:
            yield Cluster(client, f"{WORKERS}={workers}", is_local=True)
    else:
        yield None


def _chosen(environment: Mapping[str, str]) -> tuple[int, str]:
    """The number of workers to start, or 0, and the address of a scheduler, or nothing."""
    workers, address = environment.get(WORKERS, ""), environment.get(ADDRESS, "")
    if workers and address:
        raise UserError(f"{WORKERS} and {ADDRESS} are both set; unset one of them")
    if workers and not (workers.isascii() and workers.isdecimal() and 1 <= int(workers) <= MOST_WORKERS):
        raise UserError(f"{WORKERS} is {workers!r}; allowed: 1 to {MOST_WORKERS}, or unset")
    if address and not _is_safe(address):
        raise UserError(
            f"{ADDRESS} is {address!r}; allowed: tls://HOST:PORT, and tcp:// on this machine only, for who reaches a "
            "scheduler of Dask can run programs as you; docs/scaling.md says how to make certificates"
        )
    return int(workers or 0), address


def _is_safe(address: str) -> bool:
    """Whether others cannot reach, or not use, the scheduler of this address."""
    protocol, _, place = address.rpartition("://")
    host = place.rpartition(":")[0].strip("[]")
    if protocol != "tcp":
        return protocol == "tls" and bool(host)
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def _local(workers: int) -> Iterator["Client"]:
    """Workers in this process, each with one of its own that trains. Only Dask's pages are served, on 127.0.0.1."""
    distributed = _distributed(WORKERS)
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": RETRIES}),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            memory_limit=None,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            preload=[PRELOAD],
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _remote(address: str) -> Iterator["Client"]:
    """A cluster that is there, to whose scheduler the data go, for workers that lack them."""
    distributed = _distributed(ADDRESS)
    if address.startswith("tls://"):
        _check_certificates(distributed.Security())
    try:
        client = distributed.Client(address)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: Dask is to refuse tcp://
        raise UserError(f"{ADDRESS}: cannot connect to {address}: {first_line(error)}") from None
    with client:
        data = arrays.prepared_digest()
        client.publish_dataset(Path(arrays.PREPARED).read_bytes(), name=data, override=True)
        yield client  # the data stay there, for other leaders


def _check_certificates(security: "Security") -> None:
    """Raise UserError where Dask's configuration names no certificates, or such as cannot be used."""
    authority, certificate, key = security.tls_ca_file, security.tls_client_cert, security.tls_client_key
    try:
        if not (authority and certificate):
            raise FileNotFoundError("none are set")
        for name in filter(None, (authority, certificate, key)):
            Path(name).open("rb").close()
        security.get_connection_args("client")
    except OSError as error:  # that of OpenSSL, for one, names no file
        raise UserError(
            f"{ADDRESS}: Dask's configuration has no certificates for tls:// that can be used: {first_line(error)}; "
            "docs/scaling.md says how to make them, and to set DASK_CONFIG"
        ) from None


def _distributed(variable: str):
    """The package, without its log."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise UserError(f"{variable} is set, which needs the package distributed; run `make extras`") from None
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return distributed


class Cluster:
    """Runs tasks on the workers of a scheduler that have this process's code and packages."""

    def __init__(self, client: "Client", name: str, is_local: bool = False):
        self.client, self.name, self.is_local = client, name, is_local
        self.threads = int(os.environ["TF_NUM_INTRAOP_THREADS"])
        self.place = worker.place(worker.identity())
        self._executor = client.get_executor(retries=RETRIES, pure=False, resources={self.place: 1})
        self._keys: set[str] = set()  # of the tasks that were sent
        self._known: set[str] = set()  # addresses of workers, also of those that are not used
        self._count = -1  # of workers that are used
        self._busy: dict[str, tuple[frozenset[str], float]] = {}  # keys of tasks of a worker, and since when
        self._slowest = 0.0  # seconds of an epoch
        self._patience = PATIENCE
        _allow_open_files()
        try:
            self._restart_those_of_other_code()
        except OSError:
            raise self._lost() from None

    def results(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results of tasks, in their order."""
        return (result for result, _ in self.outcomes(tasks))

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[Result, list[np.ndarray]]]:
        """The results and weights of tasks, in their order; each is kept as soon as it arrives.

        Raises UserError where a training cannot be done, and where the scheduler is gone.
        """
        checkpoints: list[Checkpoint] = []
        pending: dict[Future, int] = {}
        for number, task in enumerate(tasks):
            checkpoints.append(checkpoint := checkpoint_of_task(task))
            if not _is_kept(checkpoint, task):
                key = f"{task['name']}-{checkpoint.key}"
                self._keys.add(key)
                pending[self._executor.submit(worker.run, json.dumps(task), self.threads, key=key)] = number
        for number, checkpoint in enumerate(checkpoints):
            while number in pending.values():
                self._receive(pending, tasks, checkpoints)
            yield checkpoint.result(), checkpoint.weights()

    def _receive(self, pending: dict[Future, int], tasks: Sequence[Task], checkpoints: Sequence[Checkpoint]) -> None:
        """Keep what has arrived, once something has or WATCH_SECONDS are over; look after the workers."""
        done, _ = futures.wait(pending, WATCH_SECONDS, futures.FIRST_COMPLETED)
        for future in done:
            number = pending.pop(future)
            task = tasks[number]
            record, weights = worker.unpack(self._content(future, task), task["title"])
            if fault := record.get("fault"):
                raise UserError(fault)
            self._slowest = max(self._slowest, record["seconds"] / len(record["result"]["history"] or [0]))
            checkpoints[number].finish(record["result"], weights)
        if pending:
            self._look_after([tasks[number] for number in pending.values()])

    def _content(self, future: Future, task: Task) -> bytes:
        try:
            return future.result()
        except futures.CancelledError:
            raise self._lost() from None
        except Exception as error:  # whatever its machine or Dask had to say
            raise UserError(f"{task['title']}: cannot be trained by {self.name}: {first_line(error)}") from None

    def _lost(self) -> UserError:
        remedy = "start it and its workers, then `dvc repro` goes on from what was trained"
        return UserError(f"{self.name}: the scheduler is gone; {remedy}")

    def _look_after(self, tasks: Sequence[Task]) -> None:
        """Say which workers have come and gone, and restart those that hang."""
        try:
            self._admit(self._workers())
            for address in self._hanging(self.client.processing(), max(task["epochs"] for task in tasks)):
                where = "" if self.is_local else f" on {address}"
                print(f"a training{where} takes too long; it is ended and begins anew", flush=True)
                self._patience *= 2
                self.client.run(worker.end_training, workers=[address], on_error="ignore")
        except (OSError, TimeoutError, futures.CancelledError):
            raise self._lost() from None

    def _workers(self) -> dict[str, dict]:
        """What the scheduler knows of each worker, by address."""
        try:
            return self.client.scheduler_info(n_workers=-1)["workers"]
        except KeyError:  # what a client answers whose scheduler is gone
            raise OSError from None

    def _admit(self, workers: Mapping[str, dict]) -> None:
        """Say how many workers there are, and why new ones are not used."""
        usable = [address for address, each in workers.items() if self.place in each["resources"]]
        for address in sorted(workers.keys() - self._known - set(usable)):
            print(f"worker {address} is not used: {self._difference(address, workers[address])}", flush=True)
        self._known = set(workers)
        if len(usable) != self._count:
            self._count = len(usable)
            shown = {0: "no worker; waiting for one", 1: "1 worker"}.get(self._count, f"{self._count} workers")
            print(f"{self.name}: {shown}", flush=True)
        if not usable:
            check_inputs()
            if self.is_local:  # they end where the code on the disk is no longer that of this process
                raise UserError(f"{self.name}: a file of stages or study changed; run `dvc repro` again")

    def _difference(self, address: str, worker_info: Mapping) -> str:
        """The first thing in which a worker differs from this process, or that it is none of this project."""
        theirs = self._identities([address]).get(address) if _is_of_this_project(worker_info) else None
        if theirs is None:
            return f"it was not started with --preload {PRELOAD}"
        ours = worker.identity()
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if not differing:
            return "it has changed since; it is asked again when it is restarted"
        name = differing[0]
        further = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        if name.endswith(".py"):
            return f"{name} differs{further}; give it this commit and start it anew"
        versions = f"is {theirs.get(name, 'missing')} there and {ours.get(name, 'missing')} here"
        return f"{name} {versions}{further}; install the locked packages there"

    def _identities(self, addresses: Sequence[str]) -> dict[str, dict[str, str]]:
        """Those of workers of this project, by address."""
        answers = self.client.run(worker.identity, workers=list(addresses), on_error="return")
        return {address: each for address, each in answers.items() if isinstance(each, dict)}

    def _restart_those_of_other_code(self) -> None:
        """Restart the idle workers that began with other code or packages: with what is installed now they may fit."""
        busy, workers = self.client.processing(), self._workers()
        others = [
            address
            for address, each in workers.items()
            if self.place not in each["resources"] and _is_of_this_project(each) and each["nanny"]
        ]
        if idle := [address for address in others if not busy.get(address)]:
            self.client.restart_workers(idle, timeout=RESTART_SECONDS, raise_for_error=False)

    def _hanging(self, processing: Mapping[str, Sequence[str]], epochs: int) -> list[str]:
        """The addresses of workers whose tasks have stayed the same for too long."""
        now = time.monotonic()
        ours = {address: frozenset(keys) for address, keys in processing.items() if self._keys.issuperset(keys)}
        busy = {address: keys for address, keys in ours.items() if keys}
        self._busy = {
            address: self._busy[address] if self._busy.get(address, (None,))[0] == keys else (keys, now)
            for address, keys in busy.items()
        }
        limit = max(LEAST_SECONDS, self._patience * self._slowest * epochs)
        hanging = [address for address, (_, since) in self._busy.items() if self._slowest and now - since > limit]
        for address in hanging:
            del self._busy[address]
        return hanging


def _is_of_this_project(worker_info: Mapping) -> bool:
    """Whether a worker offers a place for trainings, be it for those of other code."""
    return any(name.startswith(worker.PLACE) for name in worker_info["resources"])


def _is_kept(checkpoint: Checkpoint, task: Task) -> bool:
    """Whether all that is wanted of a training is there."""
    result = checkpoint.result()
    return bool(result) and bool(result["diverged"] or checkpoint.weights() or not task["keeps_weights"])


def _allow_open_files() -> None:
    """As many as the system allows: each task that waits holds the locks of its checkpoint."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS calls no limit one that it refuses
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
