"""tuning: the search against the study's grid of nine, in processor time and in what their winners score.

Prints a Markdown table, each row as soon as it is known. See benchmarks/README.md for what each number means.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError
from study.search.outcome import winner

MODEL = "cnn2_dropout"
GRID_EPOCHS = 10  # of each trial of the grid
FULL_EPOCHS = 20  # of each winner, retrained
TRAININGS = 3  # of each winner
RETRAINING_SEED = 1000  # searches have the seeds 1, 2, 3 and so on
LEAST = 300  # images: enough for every class to stand in training, and twice in validation
OWN, GRID, SEARCH = "own block", "grid of nine", "search"
SEARCHES = {
    GRID: {
        "sampler": "grid",
        "epochs": GRID_EPOCHS,
        "rungs": 1,
        "space": {"dropout": [0.2, 0.3, 0.5], "learning_rate": [0.01, 0.001, 0.0001]},
    },
    SEARCH: {
        "sampler": "tpe",
        "trials": 6,
        "round_size": 6,
        "epochs": 8,
        "rungs": 2,
        "reduction_factor": 3,
        "space": {
            "further_blocks": [0, 1, 2],
            "dropout": {"low": 0.0, "high": 0.3, "log": False},
            "learning_rate": {"low": 0.002, "high": 0.016, "log": True},
        },
    },
}
COLUMNS = [
    *("", "seed", "trials", "epochs", "CPU seconds", "winner", "validation ROC-AUC", "test ROC-AUC", "seed sd (test)")
]


@dataclass(frozen=True)
class Scored:
    """A winner's areas (TRAININGS,), retrained, and the processor time of its search."""

    validation: np.ndarray
    test: np.ndarray
    cpu_seconds: float = 0.0


def main() -> None:
    options = parse()
    with workspace.workspace() as folder:
        workspace.apart(write_images, options.data, options.images, folder / "part.npz")

        def change(content: dict) -> None:
            workspace.use_npz(content, folder / "part.npz")
            if options.bfloat16:
                content["models"][MODEL]["precision"] = "mixed_bfloat16"

        workspace.change_params(folder, change)
        for module in ("stages.download", "stages.prepare"):
            workspace.run(folder, module)
        params = (folder / "params.yaml").read_bytes()
        show(COLUMNS)
        show(["---"] * len(COLUMNS))
        retrained(folder, OWN, {})
        scored: dict[str, list[Scored]] = {name: [] for name in SEARCHES}
        for seed in range(1, options.seeds + 1):
            for name, tune in SEARCHES.items():
                (folder / "params.yaml").write_bytes(params)
                scored[name].append(searched(folder, name, tune, seed))
    print(summary(scored[GRID], scored[SEARCH]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    parser.add_argument("--images", type=int, metavar="N", help="use the first N training images only")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of each search (%(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="train in mixed_bfloat16")
    options = parser.parse_args()
    if options.seeds < 1:
        raise UserError(f"--seeds is {options.seeds}; allowed: 1 or more")
    return options


def write_images(data: Path | None, count: int | None, path: Path) -> None:
    arrays = workspace.images(data)
    if count is not None and not LEAST <= count <= len(arrays["x_train"]):
        raise UserError(f"--images is {count}; allowed: {LEAST} to {len(arrays['x_train'])}, the images that there are")
    workspace.write_share(path, arrays, slice(count), slice(None))


def searched(folder: Path, name: str, tune: dict, seed: int) -> Scored:
    """Search from a seed by the stage `tune`, and retrain the winner."""

    def change(content: dict) -> None:
        content["seed"] = seed
        content["models"][MODEL]["epochs"] = GRID_EPOCHS
        content["tune"].update(tune, models=[MODEL], space={"cnn": tune["space"], "resnet": {}})

    workspace.change_params(folder, change)
    usage = workspace.run(folder, "stages.tune")
    tuned = files.read_json(folder / winner.FILE, winner.Winner)
    cost = [str(seed), str(tuned["trials"]), str(tuned["epochs"]), f"{usage.cpu_seconds:,.0f}"]
    return retrained(folder, name, tuned["values"], cost, usage.cpu_seconds)


def retrained(folder: Path, name: str, values: dict, cost: list[str] | None = None, cpu_seconds: float = 0.0) -> Scored:
    """Train the model with these values at full length from seeds of no search, by the stages; show the row."""

    def change(content: dict) -> None:
        content["seed"] = RETRAINING_SEED
        content["models"][MODEL].update(values, epochs=FULL_EPOCHS, repeats=TRAININGS)

    workspace.change_params(folder, change)
    workspace.run(folder, f"stages.train.{MODEL}")
    workspace.run(folder, "stages.evaluate", MODEL)
    scored = Scored(*(areas(folder, split) for split in ("validation", "test")), cpu_seconds)
    shown = ", ".join(f"{key} {value:.3g}" for key, value in values.items()) or "–"
    means = [f"{split.mean():.4f}" for split in (scored.validation, scored.test)]
    show([name, *(cost or ["–"] * 4), shown, *means, f"{scored.test.std(ddof=1):.4f}"])
    return scored


def areas(folder: Path, split: str) -> np.ndarray:
    record = files.read_json(folder / f"metrics/{split}/{MODEL}.json", dict)
    return np.array([repeat["roc_auc"] for repeat in record["repeats"]])


def show(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def summary(grid: list[Scored], search: list[Scored]) -> str:
    """What the search gains over the grid, beside how far the trainings of one winner scatter, and what it costs."""
    lines = []
    for split in ("validation", "test"):
        ours, theirs = (np.array([getattr(each, split) for each in scored]) for scored in (search, grid))
        sd = np.sqrt(np.mean([row.var(ddof=1) for row in (*ours, *theirs)]))
        gains = ours.mean(axis=1) - theirs.mean(axis=1)
        by_seed = ", ".join(f"{gain:+.4f}" for gain in gains)
        lines.append(f"{split} ROC-AUC, search less grid: {gains.mean():+.4f} (by seed {by_seed}); seed sd {sd:.4f}")
    share = sum(each.cpu_seconds for each in search) / sum(each.cpu_seconds for each in grid)
    return "\n" + "\n".join([*lines, f"CPU seconds of the search: {share:.0%} of the grid's"])


if __name__ == "__main__":
    runtime.run(main)
