"""tuning: how much the search finds beyond the study's grid of nine, and for how much processor time.

Searches from several seeds by the stage `tune`, in both ways, and trains each winner at full length from other seeds.
The search is first run without `confirm`, then confirmed, which takes the trials as they were: each has a cost.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

from benchmarks import results, workspace
from benchmarks.workspace import Usage
from study.base import runtime

MODEL = "cnn2_dropout"
GRID_EPOCHS = 10  # of each trial of the grid
FINALISTS = 1
FULL_EPOCHS, REPEATS = 20, 3  # of each winner
WINNER_SEED = 1000  # searches have the seeds 1, 2, 3 and so on
SEARCHES = {
    "grid of nine": {
        "sampler": "grid",
        "epochs": GRID_EPOCHS,
        "rungs": 1,
        "space": {"dropout": [0.2, 0.3, 0.5], "learning_rate": [0.01, 0.001, 0.0001]},
    },
    "search": {
        "sampler": "tpe",
        "trials": 6,
        "repeats": 2,
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
COLUMNS = ["", "seed", "trials", "epochs", "CPU seconds", "winner", "confirm: CPU seconds", "winner confirmed"]
COLUMNS += ["validation ROC-AUC", "test ROC-AUC", "seed sd (test)"]


def main() -> None:
    parser = results.parser("tuning", __doc__, data=True)
    results.add_number(parser, "--images", None, "use the first N training images", least=300)
    results.add_number(parser, "--seeds", 3, "searches of each kind")
    parser.add_argument("--bfloat16", action="store_true", help="train in mixed_bfloat16")
    options = parser.parse_args()
    with results.page(options) as page, workspace.workspace(workspace.params_for(options.data)) as folder:
        workspace.use_images(folder, options.data, slice(options.images))
        if options.bfloat16:
            workspace.change_block(folder, MODEL, precision="mixed_bfloat16")
        page.table(COLUMNS, rows(folder, options.seeds))


def rows(folder: Path, seeds: int) -> Iterator[list[str]]:
    """A row for the model's own block, and one per search."""
    params = (folder / "params.yaml").read_bytes()
    yield ["own block", *["–"] * 7, *retrained(folder, {})]
    for seed in range(1, seeds + 1):
        for name, tune in SEARCHES.items():
            (folder / "params.yaml").write_bytes(params)
            usage, tuned = searched(folder, seed, tune)
            cost = [tuned["trials"], tuned["epochs"], f"{usage.cpu_seconds:,.0f}", shown(tuned)]
            confirmed = ["–", "–"]
            if tune["sampler"] != "grid":
                usage, tuned = searched(folder, seed, tune, FINALISTS)
                confirmed = [f"{usage.cpu_seconds:,.0f}", shown(tuned)]
            yield [name, seed, *cost, *confirmed, *retrained(folder, tuned["values"])]


def shown(tuned: dict) -> str:
    return ", ".join(f"{key} {value:.3g}" for key, value in tuned["values"].items()) or "own block"


def searched(folder: Path, seed: int, tune: dict, finalists: int = 0) -> tuple[Usage, dict]:
    """What a search takes, and its record; if it ran before, what `confirm` takes."""

    def change(content: dict) -> None:
        content["seed"] = seed
        content["models"][MODEL]["epochs"] = GRID_EPOCHS
        content["tune"].update(tune, finalists=finalists, models=[MODEL], space={"cnn": tune["space"], "resnet": {}})

    workspace.change_params(folder, change)
    return workspace.run(folder, "stages.tune"), workspace.record(folder, "metrics/tune.json")


def retrained(folder: Path, values: dict) -> list[str]:
    """Train the model with the winner's values at full length from seeds of no search; its scores."""
    workspace.change_params(folder, lambda content: content.update(seed=WINNER_SEED))
    workspace.change_block(folder, MODEL, **values, epochs=FULL_EPOCHS, repeats=REPEATS)
    _, record = workspace.train(folder, MODEL)
    validation, test = (
        [repeat["roc_auc"] for repeat in each["repeats"]] for each in (record, workspace.evaluate(folder, MODEL))
    )
    return [f"{mean(validation):.4f}", f"{mean(test):.4f}", f"{stdev(test):.4f}"]


if __name__ == "__main__":
    runtime.run(main)
