"""scaling: how much faster a search is with more workers, and how large a round has to be to keep them busy.

Runs the stage `tune` on images drawn by code, by itself and with workers on this machine, one thread each. Then
simulates searches by many workers, for which the time of the search itself counts nothing.
"""

import heapq
import shutil
from collections.abc import Iterator, Sequence
from statistics import mean

import numpy as np

from benchmarks import results, workspace
from study.base import files, runtime
from study.search.rounds import places

MODEL = "cnn3_dropout"
WORKERS = "STUDY_WORKERS"
MEASURED = (0, 1, 2, 4)  # workers; 0: the stage trains by itself
RATE = {"low": 0.002, "high": 0.016, "log": True}
# Of the simulation: a full run takes between 1 − SPREAD and 1 + SPREAD; sizes of rounds are in workers.
SPREAD, SIZES = 0.2, (0.5, 1, 2, 3, 5, 10)
HALVINGS = {"1 rung": (1, 3), "2 rungs by 3": (2, 3), "2 rungs by 4": (2, 4)}  # rungs and the reduction factor


def main() -> None:
    parser = results.parser("scaling", __doc__)
    results.add_number(parser, "--trials", 12, "trials of the measured searches; 0 measures none", least=0)
    results.add_number(parser, "--workers", 100, "simulated workers, which share 10 trials each", least=2)
    results.add_number(parser, "--draws", 20, "simulated searches per cell")
    options = parser.parse_args()
    with results.page(options) as page:
        if options.trials:
            page.text(f"{options.trials} trials of {MODEL}, 3 epochs each; seconds of the stage, imports included.")
            page.table(["workers", "seconds", "trials per minute", "times no workers"], measured(options.trials))
        page.text(
            f"Simulated searches: the share of the time that {options.workers} workers train. A run takes "
            f"{1 - SPREAD:g} to {1 + SPREAD:g} times the mean, and the search itself no time."
        )
        page.table(["round size", *HALVINGS], simulated(options.workers, options.draws))


def measured(trials: int) -> Iterator[list[str]]:
    def change(content: dict) -> None:
        content["threads"] = 1
        content["models"] = {MODEL: content["models"][MODEL]}
        space = {"cnn": {"learning_rate": RATE}, "resnet": {}}
        content["tune"].update(models=[MODEL], space=space, trials=trials, round_size=trials, epochs=3, rungs=1)
        content["tune"]["finalists"] = 0

    with workspace.workspace(change) as folder:
        workspace.prepare(folder)
        alone = None
        for workers in MEASURED:
            shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)
            seconds = workspace.run(folder, "stages.tune", **{WORKERS: str(workers) if workers else ""}).seconds
            alone = alone or seconds
            yield [workers or "none", f"{seconds:.1f}", f"{60 * trials / seconds:.1f}", f"{alone / seconds:.2f}"]


def simulated(workers: int, draws: int) -> Iterator[list[str]]:
    for size in (int(workers * each) for each in SIZES):
        shares = [[efficiency(workers, size, *each, draw) for draw in range(draws)] for each in HALVINGS.values()]
        yield [size, *(results.percent(mean(share), 0) for share in shares)]


def efficiency(workers: int, round_size: int, rungs: int, factor: int, draw: int = 0, spread: float = SPREAD) -> float:
    """The share of the time that workers train, in a search of ten trials per worker.

    A rung begins once all runs of the one before have ended. Which trials are promoted is drawn.
    """
    rng, trials, wall, busy = np.random.default_rng(draw), 10 * workers, 0.0, 0.0
    seconds, scores = rng.uniform(1 - spread, 1 + spread, trials), rng.random(trials)
    for begin in range(0, trials, round_size):
        contenders = np.arange(begin, min(begin + round_size, trials))
        for rung in range(rungs):
            runs = (seconds[contenders] / factor ** (rungs - 1 - rung)).tolist()
            wall, busy = wall + makespan(runs, workers), busy + sum(runs)
            best = np.argsort(-scores[contenders])[: places(len(contenders), factor)]
            contenders = np.sort(contenders[best])
    return busy / (workers * wall)


def makespan(runs: Sequence[float], workers: int) -> float:
    """The time until all runs have ended, if each worker takes the next one as soon as it is free."""
    free = [0.0] * workers
    for seconds in runs:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


if __name__ == "__main__":
    runtime.run(main)
