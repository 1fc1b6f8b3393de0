"""A journal of the times that stages take, for the record of a whole run; results hold no times, so that they repeat.

A stage adds a line when it starts and another at its end, which one that is killed does not reach.
"""

import atexit
import contextlib
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import psutil

from study.base import machine

FILE = Path("checkpoints/times.jsonl")


def begin(stage: str) -> None:
    """Note that a stage starts and, at its end, its seconds, CPU seconds and peak memory in kilobytes."""
    process = psutil.Process()
    started = {"stage": stage, "process": process.pid, "started": round(process.create_time())}
    _append(started)

    def end() -> None:
        spent, own = os.times(), resource.getrusage(resource.RUSAGE_SELF)
        seconds, cpu_seconds = time.time() - process.create_time(), sum(spent[:4])  # of the process and its children
        used = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "peak_kilobytes": own.ru_maxrss}
        _append(started | used | {"machine": machine.description()})

    atexit.register(end)


def _append(entry: dict[str, Any]) -> None:
    """Add a line. A run goes on without a place for it."""
    with contextlib.suppress(OSError):
        FILE.parent.mkdir(exist_ok=True)
        with FILE.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry) + "\n")
