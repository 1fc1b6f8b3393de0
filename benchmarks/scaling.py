"""scaling: what workers gain in a search, what their leader costs, and how large a round has to be to keep them busy.

Prints Markdown tables. See benchmarks/README.md for what each number means.
"""

import argparse
import contextlib
import heapq
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

import numpy as np

from benchmarks import workspace
from benchmarks.one_search import TOOK, Took
from study.base import files, runtime
from study.base.runtime import UserError
from study.cluster.client import WORKERS
from study.search.rounds import places

PARTS = ("workers", "leader", "rounds", "check")
MODEL = "cnn3_dropout"
FIVE_MINUTES = 300  # seconds
SPACE = {
    "learning_rate": {"low": 0.002, "high": 0.016, "log": True},
    "dropout": {"low": 0.0, "high": 0.2, "log": False},
}
TRAININGS = {"trials": 12, "round_size": 12, "epochs": 3, "rungs": 1}
TRAINERS = ("", "1", "2", "4")
MANY, LEADERS = 1000, (100, 1000)  # trials that take no time, in rounds of these sizes
# The simulation: so many workers and trials; full trainings take 1, give or take the spread.
FLEET, SPREADS, SIZES, RUNGS = 100, (0.0, 0.2, 0.5), (50, 100, 200, 300, 500, 1000), ((1, 3), (2, 3), (2, 4))
DRAWS = 20
# Of the check: workers, seconds of a full training, trials, round size, rungs, reduction factor, spread.
CHECKED = (
    (20, 3, 200, 20, 1, 3, 0.2),
    (20, 3, 200, 60, 1, 3, 0.2),
    (20, 3, 200, 60, 2, 3, 0.2),
    (100, 3, 300, 300, 1, 3, 0.2),
    (100, 12, 300, 300, 1, 3, 0.2),
)


def main() -> None:
    options = parse()
    parts = dict(zip(PARTS, (worker_rows, leader_rows, round_rows, check_rows), strict=True))
    for name in options.parts or PARTS:
        for line in parts[name]():
            print(line, flush=True)
        print(flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; without any all")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        raise UserError(f"{min(unknown)!r} is no part; allowed: {', '.join(PARTS)}")
    return options


def searched(folder: Path, workers: str, tune: dict, *options: str) -> Took:
    """What a search takes by so many workers; empty: in its own process. Nothing of an earlier one is taken over."""

    def change(content: dict) -> None:
        content["tune"].update(tune)

    workspace.change_params(folder, change)
    os.environ[WORKERS] = workers
    shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)
    workspace.run(folder, "benchmarks.one_search", *options)
    return files.read_json(folder / TOOK, Took)


def only_one_model(content: dict) -> None:
    content["threads"] = 1
    content["models"] = {MODEL: content["models"][MODEL]}
    content["tune"].update(space={"cnn": SPACE, "resnet": {}}, sampler="tpe", models=[MODEL])


def worker_rows() -> Iterator[str]:
    """Trials per minute, by workers."""
    yield row(
        "workers", "trials per minute", "times this process", "seconds per training", "overhead, s", "start-up, s"
    )
    yield row(*["---"] * 6)
    with workspace.workspace(only_one_model) as folder:
        prepare(folder)
        took = {workers: searched(folder, workers, TRAININGS) for workers in TRAINERS}
    rates = {workers: 60 * each["trials"] / each["seconds"] for workers, each in took.items()}
    for workers, each in took.items():
        cells = [workers or "this process", f"{rates[workers]:.1f}", f"{rates[workers] / rates['']:.2f}"]
        training, overhead = each["busy"] / each["trials"], (each["seconds"] - each["busy"]) / each["trials"]
        cells += [f"{training:.2f}" if workers else "–", f"{overhead:.3f}" if workers == "1" else "–"]
        yield row(*cells, f"{each['start_up']:.1f}" if workers else "–")


def leader_rows() -> Iterator[str]:
    """Time and memory of the leader, for trials that take no time."""
    yield row("ms per trial", *(f"{MANY:,} in rounds of {size:,}" for size in LEADERS))
    yield row("---", *["---"] * len(LEADERS))
    with workspace.workspace(only_one_model) as folder:
        prepare(folder)
        tunes = [{"trials": MANY, "round_size": size, "epochs": 3, "rungs": 1} for size in LEADERS]
        took = [searched(folder, "2", tune, "--untrained") for tune in tunes]
    for work in took[0]["leader"]:
        yield row(work, *(f"{1000 * each['leader'][work] / MANY:.1f}" for each in took))
    yield row("all else", *(f"{1000 * (each['seconds'] - sum(each['leader'].values())) / MANY:.1f}" for each in took))
    yield row("together", *(f"{1000 * each['seconds'] / MANY:.1f}" for each in took))
    yield row("share of a training of 5 minutes", *(f"{each['seconds'] / MANY / FIVE_MINUTES:.3%}" for each in took))
    for number, when in enumerate(("before the search", f"after {MANY:,} trials")):
        yield row(f"memory {when}, MB", *(f"{each['memory'][number] / 1e6:,.0f}" for each in took))


def round_rows() -> Iterator[str]:
    """Efficiency by the size of rounds, rungs and spread."""
    cases = [(rungs, factor, spread) for rungs, factor in RUNGS for spread in SPREADS]
    yield row("round size", *(f"{case(rungs, factor)}, ±{spread:.0%}" for rungs, factor, spread in cases))
    yield row(*["---"] * (1 + len(cases)))
    for size in SIZES:
        shares = (sum(efficiency(MANY, FLEET, size, *each, draw) for draw in range(DRAWS)) / DRAWS for each in cases)
        yield row(str(size), *(f"{share:.0%}" for share in shares))


def check_rows() -> Iterator[str]:
    """The efficiency of as many workers of Dask, whose tasks sleep, beside the simulation of the same trials."""
    yield row("workers", "s per training", "trials", "round size", "rungs", "spread", "simulated", "by Dask")
    yield row(*["---"] * 8)
    for workers, seconds, trials, size, rungs, factor, spread in CHECKED:
        simulated = efficiency(trials, workers, size, rungs, factor, spread)
        with sleepers(workers, seconds) as slept:
            measured = efficiency(trials, workers, size, rungs, factor, spread, makespan=slept)
        cells = [*map(str, (workers, seconds, trials, size)), case(rungs, factor), f"±{spread:.0%}"]
        yield row(*cells, f"{simulated:.1%}", f"{measured:.1%}")


@contextlib.contextmanager
def sleepers(workers: int, seconds: float) -> Iterator[Callable[[Sequence[float], int], float]]:
    """As `makespan`, but measured: Dask's workers, with one place each as in study/cluster/client.py, sleep."""
    from distributed import Client, LocalCluster

    silent = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0", "memory_limit": None}
    places = {"place": 1}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=False, resources=places, **silent) as local,
        Client(local) as client,
        client.get_executor(pure=False, resources=places) as executor,
    ):

        def slept(trainings: Sequence[float], _: int) -> float:
            started = time.monotonic()
            futures.wait([executor.submit(time.sleep, seconds * each) for each in trainings])
            return (time.monotonic() - started) / seconds

        slept([1 / seconds] * workers, workers)  # so that Dask has seen such tasks
        yield slept


def prepare(folder: Path) -> None:
    for module in ("stages.download", "stages.prepare"):
        workspace.run(folder, module)


def case(rungs: int, factor: int) -> str:
    return "1 rung" if rungs == 1 else f"{rungs} rungs by {factor}"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def makespan(trainings: Sequence[float], workers: int) -> float:
    """The time until all are done, by workers of which each takes the next training as soon as it is free."""
    free = [0.0] * workers
    for each in trainings:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def efficiency(
    trials: int,
    workers: int,
    round_size: int,
    rungs: int,
    factor: int,
    spread: float,
    draw: int = 0,
    makespan: Callable[[Sequence[float], int], float] = makespan,
) -> float:
    """Time that workers train over the time that they are there, in a search that takes no time itself.

    A full training takes between 1 − spread and 1 + spread, all equally likely, and one of an earlier rung a share of
    it. A rung begins once all trainings of the one before have ended. Which trials go on is drawn.
    """
    rng, wall, busy = np.random.default_rng(draw), 0.0, 0.0
    seconds, scores = rng.uniform(1 - spread, 1 + spread, trials), rng.random(trials)
    for begin in range(0, trials, round_size):
        contenders = np.arange(begin, min(begin + round_size, trials))
        for rung in range(rungs):
            trainings = (seconds[contenders] / factor ** (rungs - 1 - rung)).tolist()
            wall, busy = wall + makespan(trainings, workers), busy + sum(trainings)
            best = np.argsort(-scores[contenders])[: places(len(contenders), factor)]
            contenders = np.sort(contenders[best])
    return busy / (workers * wall)


if __name__ == "__main__":
    runtime.run(main)
