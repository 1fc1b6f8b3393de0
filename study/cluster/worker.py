"""Training runs in processes of their own, for threads of a leader or of a worker of Dask.

Dask's threads draw from Python's random numbers, from which Keras takes the seeds of layers: none may be in a process
that trains. `dask worker ADDRESS --nthreads 1 --preload study.cluster.worker` offers one place, a resource of Dask that
is named after the worker's code and locked packages. A leader asks for places of its own name, so that no run comes to
a worker that differs, or to one that trains.
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
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any

import numpy as np

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.data import arrays
from study.data.arrays import Prepared

LOCK = "requirements.txt"
LOCKED = re.compile(r"^([\w.-]+)==", re.MULTILINE)

_thread = threading.local()  # the pipe to its process, and what that has `begun` with
_data: list[Prepared] = []  # in a process that trains


def dask_setup(worker) -> None:
    """Called by Dask before a worker joins its scheduler."""
    multiprocessing.current_process().daemon = False  # as one that a nanny started, it might start no other
    for places in (worker.state.total_resources, worker.state.available_resources):
        places[place()] = 1


@functools.cache
def place() -> str:
    """The resource of workers with the code that this process started with, and its versions of the locked packages."""
    if not inputs.remembered_code():
        inputs.remember_code()
    versions = {}
    for package in LOCKED.findall((inputs.ROOT / LOCK).read_text(encoding="utf-8")):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # one of other systems
            versions[package] = importlib.metadata.version(package)
    content = json.dumps(inputs.remembered_code() | versions, sort_keys=True)
    return f"study-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def run(task: str, threads: int) -> tuple[dict, list[np.ndarray]]:
    """Train a task, which is JSON, with this number of threads, in the process of the thread that calls.

    Returns the result, and the weights if they are wanted. Raises ChildProcessError if the process dies or fails; the
    next call begins another.
    """
    wanted = threads, json.loads(task)["data"]
    try:
        if getattr(_thread, "begun", None) != wanted:
            _begin(*wanted)
        return _call(_train, task)
    except ChildProcessError:
        _thread.begun = None
        raise


def _begin(threads: int, data: str) -> None:
    """Start a process for this thread; the one before ends as its pipe closes."""
    context = multiprocessing.get_context("spawn")
    _thread.begun, (_thread.pipe, theirs) = None, context.Pipe()
    resource_tracker.ensure_running()  # of multiprocessing; its start would unblock the signal
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is for the main thread of this process
    context.Process(target=_serve, args=[theirs], daemon=True).start()
    theirs.close()
    if _call(_prepare, threads, _content(data)) != place():
        what = "a file of stages or study, or a package"
        raise UserError(f"{what}, changed on {platform.node()} after its worker had begun; start it anew")
    _thread.begun = threads, data


def _content(data: str) -> bytes:
    """The file of this SHA-256: this folder's, or what the scheduler of Dask has."""
    own = Path(arrays.PREPARED)
    if own.is_file() and files.sha256(own) == data:
        return own.read_bytes()
    from distributed import get_client

    return get_client().get_dataset(data)


def _call(function: Callable, *arguments) -> Any:
    """What a function returns there. Raises its UserError; ChildProcessError if all else, or the process ends."""
    try:
        _thread.pipe.send((function, arguments))
        answer, fault = _thread.pipe.recv()
    except (EOFError, OSError):
        raise ChildProcessError("the process that trains ended; was it killed, or out of memory?") from None
    if fault:
        raise fault
    return answer


def _serve(pipe: connection.Connection) -> None:
    """Call what comes through the pipe, in the process that trains."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pipe.recv()
            try:
                pipe.send((function(*arguments), None))
            except UserError as error:
                pipe.send((None, error))
            except (Exception, SystemExit) as error:
                pipe.send((None, ChildProcessError(runtime.first_line(error))))


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _prepare(threads: int, content: bytes) -> str:
    """Prepare the process that trains; its place."""
    runtime.set_up()
    importlib.import_module("study.training.task")
    for script in (inputs.ROOT / "stages/train").glob("*.py"):  # what is edited from now on changes nothing here
        with contextlib.suppress(Exception):  # of an unfinished one; the task that needs it raises it again
            importlib.import_module(f"stages.train.{script.stem}")
    runtime.end_imports()
    runtime.use_threads(threads)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stdout = io.StringIO()  # processes of one machine share a terminal
    _data.append(arrays.read_prepared(files.opened(content, arrays.PREPARED)))
    return place()


def _train(task: str) -> tuple[dict, list[np.ndarray]]:
    from study.training.checkpoint import Unkept
    from study.training.run import weights_digest
    from study.training.task import run_of, trained

    run = run_of(json.loads(task))
    if run.weights not in (None, weights_digest(run.block)):
        where = f"{run.block.weights}, of which {platform.node()} has none or another in {Path.cwd()}"
        raise UserError(f"{run.block_name}.weights is {where}; copy it there")
    architecture = importlib.import_module(f"stages.train.{run.script}").architecture
    result, model = trained(json.loads(task), architecture, *_data, Unkept())
    return result, model.get_weights() if model and run.keeps_weights else []
