"""Training runs on workers of Dask: processes of this machine, or other machines.

STUDY_WORKERS is a number of processes to start here, DASK_SCHEDULER_ADDRESS the address of a cluster. They are
variables and no params, since no result depends on them. Dask sends each run to a worker, and to another if that one
dies. This module says which workers may have runs, and keeps the results.
"""

import contextlib
import ipaddress
import json
import logging
import os
import resource
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
from study.training.executor import VARIABLES
from study.training.task import Result, Task, checkpoint_of_task

if TYPE_CHECKING:
    from distributed import Client

WORKERS, ADDRESS = VARIABLES
MOST_WORKERS = 256
RETRIES = 5  # of a run whose process dies
WATCH_SECONDS = 1
# On this machine, scheduler and workers live in this process: one that answers late is slow, and never gone.
NO_LIMITS = {"distributed.scheduler.worker-ttl": None, "distributed.comm.timeouts.connect": "1 day"}
PRELOAD = worker.__name__
QUIET = ("distributed", "distributed.client", "tornado.application", "asyncio")  # loggers; faults come as exceptions


@contextlib.contextmanager
def connected(runs: int = MOST_WORKERS) -> Iterator["Cluster | None"]:
    """The workers that the environment names, for at most this number of runs; None: they are to run in this process.

    A single run starts no worker on this machine. Raises UserError if the environment names no workers that can be had.
    """
    workers, address = _chosen(os.environ)
    if address:
        with _remote(address) as client:
            yield Cluster(client, address)
    elif workers and runs > 1:
        with _local(min(workers, runs)) as client:
            yield Cluster(client, f"{WORKERS}={workers}")
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
    """Workers in this process, each with a child process that trains. Only Dask's pages are served, on 127.0.0.1."""
    distributed = _distributed(WORKERS)
    import dask

    with (
        dask.config.set(NO_LIMITS),
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
    """A cluster that is there. Its scheduler gets the data, for workers that lack them, and keeps them."""
    distributed = _distributed(ADDRESS)
    try:
        client = distributed.Client(address)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # no scheduler, or no certificates for it
        raise UserError(f"{ADDRESS}: cannot connect to {address}: {first_line(error)}; see docs/scaling.md") from None
    with client:
        data = arrays.prepared_digest()
        client.publish_dataset(Path(arrays.PREPARED).read_bytes(), name=data, override=True)
        yield client


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

    def __init__(self, client: "Client", name: str):
        self.client, self.name = client, name
        self.threads = int(os.environ["TF_NUM_INTRAOP_THREADS"])
        self.place = worker.place(worker.identity())
        self._executor = client.get_executor(retries=RETRIES, pure=False, resources={self.place: 1})
        self._known: set[str] = set()  # addresses of workers, also of those that are not used
        self._count = -1  # of workers that are used
        _allow_open_files()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[Result, list[np.ndarray]]]:
        """The results and weights of tasks, in their order; each is kept as soon as it arrives.

        Raises UserError if a run cannot be done, or the scheduler is gone.
        """
        checkpoints: list[Checkpoint] = []
        pending: dict[Future, int] = {}
        for number, task in enumerate(tasks):
            checkpoints.append(checkpoint := checkpoint_of_task(task))
            if not _is_kept(checkpoint, task):
                key = f"{task['name']}-{checkpoint.key}"
                pending[self._executor.submit(worker.run, json.dumps(task), self.threads, key=key)] = number
        for number, checkpoint in enumerate(checkpoints):
            while number in pending.values():
                self._receive(pending, tasks, checkpoints)
            yield checkpoint.result(), checkpoint.weights()

    def _receive(self, pending: dict[Future, int], tasks: Sequence[Task], checkpoints: Sequence[Checkpoint]) -> None:
        """Keep what has arrived, once something has or WATCH_SECONDS are over; look after the workers."""
        arrived, _ = futures.wait(pending, WATCH_SECONDS, futures.FIRST_COMPLETED)
        for future in arrived:
            number = pending.pop(future)
            answer = self._answer(future, tasks[number])
            if fault := answer.get("fault"):
                raise UserError(fault)
            checkpoints[number].finish(answer["result"], answer["weights"])
        if pending:
            self._look_after()

    def _answer(self, future: Future, task: Task) -> worker.Answer:
        try:
            return future.result()
        except futures.CancelledError:
            raise self._lost() from None
        except Exception as error:  # whatever its machine or Dask had to say
            raise UserError(f"{task['title']}: cannot be trained by {self.name}: {first_line(error)}") from None

    def _lost(self) -> UserError:
        remedy = "start it and its workers, then `dvc repro` goes on from what was trained"
        return UserError(f"{self.name}: the scheduler is gone; {remedy}")

    def _look_after(self) -> None:
        """Say how many workers there are, and why new ones are not used."""
        try:
            # `Client.scheduler_info` has no workers at times: Dask's periodic update overwrites its answer.
            workers = self.client.sync(self.client.scheduler.identity)["workers"]
            usable = {address for address, each in workers.items() if self.place in each["resources"]}
            for address in sorted(workers.keys() - self._known - usable):
                print(f"worker {address} is not used: {self._reason(address, workers[address])}", flush=True)
        except (OSError, AttributeError):  # AttributeError: of a client that has closed
            raise self._lost() from None
        self._known = set(workers)
        if len(usable) != self._count:
            self._count = len(usable)
            shown = {0: "no worker; waiting for one", 1: "1 worker"}.get(self._count, f"{self._count} workers")
            print(f"{self.name}: {shown}", flush=True)
        if not usable:
            check_inputs()  # once a file has changed, none will ever fit

    def _reason(self, address: str, info: Mapping) -> str:
        """The first thing in which a worker differs from this process, or that it is none of this project."""
        if not any(name.startswith(worker.PLACE) for name in info["resources"]):
            return f"it was not started with --preload {PRELOAD}"
        theirs = self.client.run(worker.identity, workers=[address], on_error="return").get(address)
        if not isinstance(theirs, dict):
            return "it does not answer"
        first, *others = worker.differing(worker.identity(), theirs)
        further = f" (and {len(others)} more)" if others else ""
        return f"{first} differs{further}; give it this commit and its locked packages, and start it anew"


def _is_kept(checkpoint: Checkpoint, task: Task) -> bool:
    """Whether all that is wanted of a run is there."""
    result = checkpoint.result()
    return bool(result) and bool(result["diverged"] or checkpoint.weights() or not task["keeps_weights"])


def _allow_open_files() -> None:
    """As many as the system allows: each task that waits holds the locks of its checkpoint."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS calls no limit one that it refuses
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
