"""Training runs on workers: processes of this machine, or those of a Dask cluster.

STUDY_WORKERS is a number of processes to start here, DASK_SCHEDULER_ADDRESS the address of a scheduler. They are
variables and no params, since no result depends on them.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from study.base.runtime import UserError, check_inputs, first_line
from study.cluster import worker
from study.data import arrays
from study.training.checkpoint import Checkpoint
from study.training.executor import VARIABLES
from study.training.task import Result, Task, checkpoint_of_task

WORKERS, ADDRESS = VARIABLES
MOST_WORKERS = 256
SAFE = re.compile(r"tls://.+|tcp://(localhost|127(\.\d+){3}|\[::1\]):\d+")  # others cannot reach it, or not use it
RETRIES = 5  # of a run whose process dies or fails
WATCH_SECONDS = 1
ABSENT_SECONDS = 15  # without a worker, until that is believed: Dask's nannies start others
QUIET = ("distributed", "distributed.client", "tornado.application", "asyncio")  # loggers; faults come as exceptions


@contextlib.contextmanager
def connected(runs: int = MOST_WORKERS) -> Iterator["Workers | None"]:
    """The workers that the environment names, for at most this number of runs; None: they are to run in this process.

    A single run starts no worker on this machine. Raises UserError if the environment names no workers that can be had.
    """
    count, address = _chosen(os.environ)
    if address:
        with _client(address) as client:
            yield Workers(address, client.get_executor(pure=False, resources={worker.place(): 1}), client)
    elif count and runs > 1:
        with futures.ThreadPoolExecutor(min(count, runs)) as executor:
            workers = Workers(f"{WORKERS}={count}", executor)
            print(f"{workers.name}: at most {min(count, runs)} processes train", flush=True)
            try:
                yield workers
            finally:
                executor.shutdown(wait=False, cancel_futures=True)
                while (processes := multiprocessing.active_children()) or not all(map(Future.done, workers.pending)):
                    for process in processes:
                        process.kill()
                    time.sleep(0.01)
    else:
        yield None


def _chosen(environment: Mapping[str, str]) -> tuple[int, str]:
    """The number of workers to start, or 0, and the address of a scheduler, or nothing."""
    workers, address = environment.get(WORKERS, ""), environment.get(ADDRESS, "")
    if workers and address:
        raise UserError(f"{WORKERS} and {ADDRESS} are both set; unset one of them")
    if workers and workers not in map(str, range(1, MOST_WORKERS + 1)):
        raise UserError(f"{WORKERS} is {workers!r}; allowed: 1 to {MOST_WORKERS}, or unset")
    if address and not SAFE.fullmatch(address):
        raise UserError(
            f"{ADDRESS} is {address!r}; allowed: tls://HOST:PORT, and tcp:// on this machine only, for who reaches a "
            "scheduler of Dask can run programs as you; docs/scaling.md says how to make certificates"
        )
    return int(workers or 0), address


def _client(address: str) -> Any:
    """A client of the scheduler of Dask, which gets the data for workers that lack them."""
    try:
        import distributed

        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        client = distributed.Client(address)
    except ModuleNotFoundError:
        raise UserError(f"{ADDRESS} is set, which needs the package distributed; run `make extras`") from None
    except Exception as error:  # no scheduler, no certificates for it, or a configuration that Dask cannot read
        reason = first_line(error).rstrip(":")
        raise UserError(f"{ADDRESS}: cannot connect to {address}: {reason}; see docs/scaling.md") from None
    client.publish_dataset(Path(arrays.PREPARED).read_bytes(), name=arrays.prepared_digest(), override=True)
    return client


class Workers:
    """Runs tasks on the workers of an executor; of Dask, if a client of it is given."""

    def __init__(self, name: str, executor: futures.Executor, client: Any = None):
        self.name, self._executor, self._client = name, executor, client
        self.pending: dict[Future, tuple[Task, Checkpoint]] = {}
        self._faults: Counter[str] = Counter()  # by the key of a checkpoint
        self._shown, self._absent_since = "", None  # what was printed of the workers; since when there is none
        _allow_open_files()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[Result, list[np.ndarray]]]:
        """The results and weights of tasks, in their order; each is kept as soon as it arrives.

        Raises UserError if a run cannot be done, or the scheduler is gone.
        """
        checkpoints: list[Checkpoint] = []
        for task in tasks:
            checkpoints.append(checkpoint := checkpoint_of_task(task))
            if not _is_kept(checkpoint, task):
                self._submit(task, checkpoint)
        for checkpoint in checkpoints:
            while any(checkpoint is each for _, each in self.pending.values()):
                self._receive()
            yield checkpoint.result(), checkpoint.weights()

    def _submit(self, task: Task, checkpoint: Checkpoint) -> None:
        future = self._executor.submit(worker.run, json.dumps(task), int(os.environ["TF_NUM_INTRAOP_THREADS"]))
        self.pending[future] = task, checkpoint

    def _receive(self) -> None:
        """Keep what arrives within WATCH_SECONDS, and send again what has failed."""
        arrived, _ = futures.wait(self.pending, WATCH_SECONDS, futures.FIRST_COMPLETED)
        for future in arrived:
            task, checkpoint = self.pending.pop(future)
            try:
                answer = future.result()
            except UserError:
                raise
            except futures.CancelledError:
                raise self._lost() from None
            except Exception as error:  # whatever the process, its machine or Dask had to say
                check_inputs()
                self._faults[checkpoint.key] += 1
                if self._faults[checkpoint.key] > RETRIES:
                    what = f"{task['title']}: cannot be trained by {self.name}"
                    raise UserError(f"{what}: {first_line(error)}") from None
                self._submit(task, checkpoint)
            else:
                checkpoint.finish(*answer)
        if self._client:
            self._look_after()

    def _look_after(self) -> None:
        """Say how many workers there are, whenever that changes."""
        try:
            # `Client.scheduler_info` has no workers at times: Dask's periodic update overwrites its answer.
            workers = self._client.sync(self._client.scheduler.identity)["workers"].values()
        except (OSError, AttributeError):  # AttributeError: of a client that has closed
            raise self._lost() from None
        usable = sum(worker.place() in each["resources"] for each in workers)
        if usable:
            self._absent_since = None
        else:
            self._absent_since = self._absent_since or time.monotonic()
            if time.monotonic() - self._absent_since < ABSENT_SECONDS:
                return
            check_inputs()  # once a file has changed, none will ever fit
        shown = {0: "no worker; waiting for one", 1: "1 worker"}.get(usable, f"{usable} workers")
        if others := len(workers) - usable:
            shown += f"; {others} more with other code or packages, or without --preload {worker.__name__}"
        if shown != self._shown:
            print(f"{self.name}: {shown}", flush=True)
        self._shown = shown

    def _lost(self) -> UserError:
        remedy = "start it and its workers, then `dvc repro` goes on from what was trained"
        return UserError(f"{self.name}: the scheduler is gone; {remedy}")


def _is_kept(checkpoint: Checkpoint, task: Task) -> bool:
    """Whether all that is wanted of a run is there."""
    result = checkpoint.result()
    return bool(result) and bool(result["diverged"] or checkpoint.weights() or not task["keeps_weights"])


def _allow_open_files() -> None:
    """As many as the system allows: each task that waits holds the locks of its checkpoint."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS calls no limit one that it refuses
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
