"""What `scaling` runs in a process of its own: one search in the folder it is in, by the workers of the environment.

Writes what it took to took.json. With --untrained a worker trains nothing, and answers at once.
"""

import argparse
import functools
import gc
import json
import time
from typing import Any

import numpy as np
import psutil
from typing_extensions import TypedDict

from study.base import files, runtime
from study.cluster import client, worker
from study.display.journal import Journal
from study.params.load import load
from study.search import rounds
from study.training.checkpoint import Checkpoint

TOOK = "took.json"
# Work of the leader that is timed, in an order in which none is part of another.
LEADER = {
    "asking": (rounds, "ask"),
    "telling": (rounds, "tell"),
    "showing in the journal": (Journal, "_attempt"),
    "opening checkpoints": (client, "checkpoint_of_task"),
    "keeping results": (Checkpoint, "finish"),
    "looking after workers": (client.Cluster, "_look_after"),
}


class Took(TypedDict):
    """What a search took."""

    start_up: float  # seconds until the workers had trained a first trial each, less its own
    seconds: float  # of the search after that
    trials: int
    busy: float  # seconds of all trainings, as their workers have measured them; 0 without workers
    leader: dict[str, float]  # seconds of each kind of work of the leader
    memory: list[int]  # bytes resident in the leader, before the search and after it


def main() -> None:
    options = parse()
    if options.untrained:
        worker.run = untrained
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    (model, block), records, started = *params.models.items(), [], time.monotonic()
    worker.unpack = collected(worker.unpack, records)
    with client.connected() as executor:
        workers = int(executor.name.partition("=")[2]) if executor else 1
        first = params.tune.model_copy(update={"trials": workers, "round_size": workers, "rungs": 1})
        rounds.search(model, block, first, params.seed + 1, Journal(), executor)
        start_up = time.monotonic() - started - max((each["seconds"] for each in records), default=0.0)
        records.clear()
        leader = dict.fromkeys(LEADER, 0.0)
        for name, (owner, function) in LEADER.items():
            setattr(owner, function, timed(getattr(owner, function), name, leader))
        memory, started = [resident()], time.monotonic()
        rounds.search(model, block, params.tune, params.seed, Journal(), executor)
        seconds = time.monotonic() - started
        memory.append(resident())
    busy = sum(each["seconds"] for each in records)
    files.write_json(
        TOOK,
        Took(start_up=start_up, seconds=seconds, trials=params.tune.trials, busy=busy, leader=leader, memory=memory),
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_search", description=__doc__.splitlines()[0])
    parser.add_argument("--untrained", action="store_true", help="train nothing")
    return parser.parse_args()


def untrained(task: str, threads: int) -> bytes:
    """In the place of `worker.run`: a score by chance, and no weights."""
    content = json.loads(task)
    score = np.random.default_rng(int(content["name"].rpartition("-")[2])).random()
    history = [{"epoch": epoch + 1, "val_roc_auc": score} for epoch in range(content["epochs"])]
    result = {"roc_auc": score, "history": history, "diverged": None, "kind": "none"}
    return worker.pack({"result": result, "seconds": 0.0})


def collected(unpack: Any, records: list[dict]) -> Any:
    """`worker.unpack`, which adds each record to the list."""

    def unpacked(content: bytes, name: str) -> tuple[dict, list]:
        record, weights = unpack(content, name)
        records.append(record)
        return record, weights

    return unpacked


def timed(function: Any, name: str, leader: dict[str, float]) -> Any:
    """The function, whose seconds are added up under the name."""

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            leader[name] += time.perf_counter() - started

    return wrapped


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    runtime.run(main)
