"""What makes a worker of Dask one of this project: `dask worker ADDRESS --nthreads 1 --preload study.cluster.worker`.

A worker offers one place, a resource of Dask that is named after its code and its locked packages. A leader asks for
places of its own name, so that no run comes to a worker that differs, or to one that trains.

A worker trains in a child process: Dask's threads draw from Python's random numbers, from which Keras takes the seeds
of layers.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import io
import json
import logging
import multiprocessing
import os
import platform
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.data import arrays
from study.data.arrays import Prepared

if TYPE_CHECKING:
    from distributed import Worker

PLACE = "study-"
LOCK = "requirements.txt"
LOCKED = re.compile(r"^([\w.-]+)==", re.MULTILINE)
# By these Dask lets libraries compute with one thread. The leader says how many a run has.
LIMITS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Answer = dict[str, Any]  # the `result` and the `weights` of a run; or `fault`, the line of a UserError


def dask_setup(worker: "Worker") -> None:
    """Called by Dask before a worker joins its scheduler."""
    if worker.nanny:
        for name in LIMITS:
            os.environ.pop(name, None)
        multiprocessing.current_process().daemon = False  # as one that a nanny started, it might start no other
    for places in (worker.state.total_resources, worker.state.available_resources):
        places[place(identity())] = 1


def dask_teardown(worker: "Worker") -> None:
    """End the process that trains for a worker. Dask calls this as the worker ends."""
    if trainer := _trainers.pop(worker, None):
        trainer.end()


@functools.cache
def identity() -> dict[str, str]:
    """SHA-256 of each module of the project as the process started with it, and the version of each locked package."""
    if not inputs.remembered_code():
        inputs.remember_code()
    versions = {}
    for package in LOCKED.findall((inputs.ROOT / LOCK).read_text(encoding="utf-8")):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # one of other systems
            versions[package] = importlib.metadata.version(package)
    return inputs.remembered_code() | versions


def place(identity: Mapping[str, str]) -> str:
    """The name of the resource that workers of this identity offer."""
    return PLACE + hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The modules and packages in which two identities differ."""
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def run(task: str, threads: int) -> Answer:
    """Train a task, which is JSON, with this number of threads.

    Raises ChildProcessError if the process that trains cannot begin or ends before; Dask then calls this again.
    """
    from distributed import get_client, get_worker

    this, data = get_worker(), json.loads(task)["data"]
    trainer = _trainers.get(this)
    try:
        if trainer is None or trainer.threads != threads:
            dask_teardown(this)
            trainer = _trainers[this] = Trainer(threads)
            trainer.call(_begin, threads)
            if names := differing(identity(), trainer.call(identity)):
                dask_teardown(this)
                return {"fault": f"{names[0]} on {platform.node()} changed after its worker had begun; start it anew"}
        if not trainer.call(_has, data):
            trainer.call(_take, get_client().get_dataset(data))
        return trainer.call(_train, task)
    except ChildProcessError:
        dask_teardown(this)
        raise


class Trainer:
    """A process that calls functions of this module, with a number of threads."""

    def __init__(self, threads: int):
        self.threads = threads
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=[theirs], daemon=True)
        resource_tracker.ensure_running()  # of multiprocessing; its start would unblock the signal
        allowed = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is for this process
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        theirs.close()

    def call(self, function: Callable, *arguments) -> Any:
        """What a function returns there. Raises ChildProcessError if it raises, or the process ends."""
        try:
            self._pipe.send((function, arguments))
            answer, fault = self._pipe.recv()
        except (EOFError, OSError):
            raise ChildProcessError("the process that trains ended; was it killed, or out of memory?") from None
        if fault:
            raise ChildProcessError(fault)
        return answer

    def end(self) -> None:
        self._process.kill()


_trainers: weakref.WeakKeyDictionary["Worker", Trainer] = weakref.WeakKeyDictionary()
_data: dict[str, Prepared] = {}  # in a process that trains: the data of its last task, by SHA-256


def _serve(pipe: connection.Connection) -> None:
    """Call what comes through the pipe, in the process that trains."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        function, arguments = pipe.recv()
        try:
            pipe.send((function(*arguments), None))
        except (Exception, SystemExit) as error:
            pipe.send((None, runtime.first_line(error)))


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _begin(threads: int) -> None:
    """Prepare the process that trains."""
    runtime.set_up()
    importlib.import_module("study.training.task")
    for script in (inputs.ROOT / "stages/train").glob("*.py"):  # what is edited from now on changes nothing here
        with contextlib.suppress(Exception):  # of an unfinished one; the task that needs it raises it again
            importlib.import_module(f"stages.train.{script.stem}")
    runtime.end_imports()
    runtime.use_threads(threads)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stdout = io.StringIO()  # processes of one machine share a terminal


def _has(data: str) -> bool:
    """Whether the data of this SHA-256 are there; this folder's are read."""
    own = Path(arrays.PREPARED)
    if data not in _data and own.is_file() and files.sha256(own) == data:
        _data.clear()
        _data[data] = arrays.read_prepared(own)
    return data in _data


def _take(content: bytes) -> None:
    """Read data that were sent."""
    _data.clear()
    _data[hashlib.sha256(content).hexdigest()] = arrays.read_prepared(files.opened(content, arrays.PREPARED))


def _train(task: str) -> Answer:
    from study.training.checkpoint import Unkept
    from study.training.task import trained

    content = json.loads(task)
    try:
        _check_weights(content)
        architecture = importlib.import_module(f"stages.train.{content['script']}").architecture
        result, model = trained(content, architecture, _data[content["data"]], Unkept())
    except UserError as error:
        return {"fault": str(error)}
    return {"result": result, "weights": model.get_weights() if model and content["keeps_weights"] else []}


def _check_weights(task: Mapping) -> None:
    """Raise UserError if the file of weights that the block names is not the leader's."""
    if task["weights"] is None:
        return
    path = Path(task["block"]["weights"])
    if not path.is_file() or files.sha256(path) != task["weights"]:
        raise UserError(
            f"{task['block_name']}.weights is {path}, of which the worker on {platform.node()} has "
            f"{'another' if path.is_file() else 'none'} in {Path.cwd()}; copy it there"
        )
