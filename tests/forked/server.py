"""server.py DESCRIPTOR: import what stages import, then fork for each job that comes through the listening socket.

A job is a message of client.py: command line, folder and environment, with the descriptors of its three streams. The
answer is the exit status of the fork; where a signal ended it, the signal's number below zero, as in `subprocess`. A
fork is killed when its client is gone, or when the server's standard input ends.
"""

import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import random
import runpy
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

LONGEST = 1 << 20  # bytes of a message
STREAMS = 3
# What stages and DVC import, also what they import late, but for the project itself, of which each copy has its own.
IMPORTED = [
    "dvc.cli.parser",
    "dvc.repo.index",
    "dvc.repo.reproduce",
    "dvc.stage.cache",
    "dvc_data.index.save",
    "dvc_data.index.update",
    "dvclive",
    "jinja2",
    "keras",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "networkx",
    "numpy",
    "psutil",
    "pydantic",
    "scipy.stats",
    "scmrepo.git",
    "sklearn.ensemble",
    "sklearn.metrics",
    "sklearn.model_selection",
    "tensorflow",
    "tqdm",
    "yaml",
]
OPTIONAL = ["dvc_s3", "s3fs"]  # of the extra s3
SETTINGS = {"KERAS_BACKEND": "tensorflow", "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3"}  # as study/base/runtime.py


class Job(NamedTuple):
    command: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]
    client: int  # process id


def main(descriptor: int) -> None:
    os.environ |= SETTINGS
    for module in IMPORTED:
        importlib.import_module(module)
    for module in OPTIONAL:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # pages that no fork touches stay shared
    with socket.socket(fileno=descriptor) as listener:
        client = next_client(listener)
    job = next_job(client)
    become(job)
    run(*job.command)


def next_client(listener: socket.socket) -> socket.socket:
    """Accept connections, each in a fork; return in the forks only."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        client, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return client
        client.close()
    os._exit(0)


def next_job(client: socket.socket) -> Job:
    """Read the job and fork for it; return in that fork only. Answer with its exit status."""
    message, streams, _, _ = socket.recv_fds(client, LONGEST, STREAMS)
    process, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.setpgid(0, 0)
    fork = os.fork()
    if fork == 0:
        client.close()
        return Job(*marshal.loads(message), streams, process)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(fork)
    if ended not in select.select([ended, client, sys.stdin], [], [])[0]:
        os.killpg(0, signal.SIGKILL)  # this process, too
    client.send(str(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])).encode())
    os._exit(0)


def become(job: Job) -> None:
    """Make this process what a new interpreter would be in the client's place."""
    for name, stream in zip(("stdin", "stdout", "stderr"), job.streams, strict=True):
        replace_stream(name, stream)
    enter_namespaces(job.client)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment)
    time.tzset()
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)
    random.seed()
    sys.modules["numpy"].random.seed()
    added = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    sys.path[:0] = [job.folder, *added]
    if added:  # as the module `site` does
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module("sitecustomize")


def replace_stream(name: str, descriptor: int) -> None:
    """Put a descriptor in the place of a standard stream's, under a file object that knows what it is."""
    old = getattr(sys, name)
    os.dup2(descriptor, old.fileno())
    os.close(descriptor)
    new = os.fdopen(old.fileno(), old.mode, encoding=old.encoding, errors=old.errors, closefd=False)
    new.reconfigure(line_buffering=new.isatty() or name == "stderr")
    setattr(sys, name, new)
    setattr(sys, f"__{name}__", new)


def enter_namespaces(process: int) -> None:
    """Go where `unshare` has put the client: to its user and mount namespaces."""
    kinds = [
        kind
        for kind in ("user", "mnt")
        if Path(f"/proc/self/ns/{kind}").readlink() != Path(f"/proc/{process}/ns/{kind}").readlink()
    ]
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is of Python 3.12
    for namespace in [os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
        if libc.setns(namespace, 0):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(namespace)


def run(python: str, flag: str, module: str, *arguments: str) -> None:
    """`PYTHON -m MODULE ARGUMENTS…`; this interpreter then ends as that one would."""
    if flag != "-m":
        sys.exit(f"forked/server.py runs modules only: -m MODULE, not {flag}")
    sys.executable = python
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
