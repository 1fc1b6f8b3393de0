"""Stages and DVC in forks of one process that has imported TensorFlow and DVC.

A new interpreter imports for four seconds before a stage does anything, and for one before DVC does; a fork does not.
`Server.python` stands in for the interpreter, and a file beside it for the command `dvc`. It takes `-m MODULE
ARGUMENTS…`, hands its arguments, folder, environment and streams to the server through a Unix socket, and ends as the
fork ends. `Server.environment` puts both first in PATH, for `dvc repro`.

A fork differs from a new interpreter in all that an interpreter or a package reads or prints as it starts: variables
such as PYTHONHASHSEED, MPLCONFIGDIR or KERAS_HOME, the lines of TensorFlow. Tests of these, of signals and of kills
start new interpreters. With NEW_INTERPRETERS=1 in the environment every test does, and so on systems other than Linux.
"""

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import project

HERE = Path(__file__).parent
# What the tests of kills set otherwise, which compare bytes. An interpreter reads it once, as it starts.
WORLD = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"}


class Server:
    """Starts the process and, at the end, stops it with all of its forks."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.environment = WORLD | {"PATH": f"{self.python.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        self.python.parent.mkdir()
        if os.environ.get("NEW_INTERPRETERS") or sys.platform != "linux":
            self._write(self.python, sys.executable)
            return self
        address = self.folder / "socket"
        client = [sys.executable, "-ISE", HERE / "client.py", address, self.python]
        self._write(self.python, *client)
        self._write(self.python.with_name("dvc"), *client, "-m", "dvc")
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            (self.folder / "log.txt").open("w") as log,
        ):
            listener.bind(str(address))
            listener.listen()  # who connects before the imports are done waits for them
            self.process = subprocess.Popen(
                [sys.executable, "-P", HERE / "server.py", str(listener.fileno())],
                env=project.environment(**WORLD),
                stdin=subprocess.PIPE,  # its end is what stops the server
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
            )
        return self

    def __exit__(self, *_) -> None:
        if self.process:
            self.process.stdin.close()
            self.process.wait()

    def _write(self, path: Path, *command: str | Path) -> None:
        path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        path.chmod(0o755)
