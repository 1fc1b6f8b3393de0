"""tuning: the study's grid over dropout and rate against a search that may spend a quarter of the grid's epochs.

Prints a Markdown table. See benchmarks/README.md for what each number means.
"""

import argparse
from pathlib import Path

from benchmarks import workspace
from study import files, runtime
from study.runtime import UserError
from study.search import winner

MODEL = "cnn2_dropout"
EPOCHS = 10
LEAST = 300  # images: enough for every class to stand in training, and twice in validation
SEARCHES = {
    "grid of nine": {
        "sampler": "grid",
        "epochs": EPOCHS,
        "pruner": "none",
        "space": {"dropout": [0.2, 0.3, 0.5], "learning_rate": [0.01, 0.001, 0.0001]},
    },
    "search over the grid's ranges": {
        "sampler": "tpe",
        "trials": 4,
        "startup_trials": 4,
        "epochs": 3,
        "pruner": "none",
        "space": {
            "dropout": {"low": 0.2, "high": 0.5, "log": False},
            "learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
        },
    },
}


def main() -> None:
    options = parse()
    with workspace.workspace() as folder:
        workspace.apart(write_images, options.data, options.images, folder / "part.npz")

        def use_images(content: dict) -> None:
            workspace.use_npz(content, folder / "part.npz")
            content["models"][MODEL]["epochs"] = EPOCHS

        workspace.change_params(folder, use_images)
        for module in ("stages.download", "stages.prepare"):
            workspace.run(folder, module)
        rows = [row(folder, name, tune) for name, tune in SEARCHES.items()]
    print(
        "| | trials | epochs | winner | validation ROC-AUC | 95 % interval | seconds |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    parser.add_argument("--images", type=int, metavar="N", help="use the first N training images only")
    return parser.parse_args()


def write_images(data: Path | None, count: int | None, path: Path) -> None:
    arrays = workspace.images(data)
    if count is not None and not LEAST <= count <= len(arrays["x_train"]):
        raise UserError(f"--images is {count}; allowed: {LEAST} to {len(arrays['x_train'])}, the images that there are")
    workspace.write_share(path, arrays, slice(count), slice(None))


def row(folder: Path, name: str, tune: dict) -> str:
    """Search and train the winner by the stages; epochs and seconds count its training if trials were shorter."""

    def change(content: dict) -> None:
        content["tune"].update(tune, models=[MODEL], space={"cnn": tune["space"], "resnet": {}})

    workspace.change_params(folder, change)
    search, training = (workspace.run(folder, stage).seconds for stage in ("stages.tune", "stages.best"))
    short = tune["epochs"] < EPOCHS
    tuned = files.read_json(folder / winner.FILE, winner.Winner)
    scores = files.read_json(folder / "metrics/validation/best.json", dict)
    values = ", ".join(f"{key} {value:.3g}" for key, value in tuned["values"].items())
    return (
        f"| {name} | {tuned['trials']} | {tuned['epochs'] + short * EPOCHS} | {values} | {scores['roc_auc']:.4f} "
        f"| {scores['roc_auc_low']:.4f} – {scores['roc_auc_high']:.4f} | {search + short * training:,.0f} |"
    )


if __name__ == "__main__":
    runtime.run(main)
