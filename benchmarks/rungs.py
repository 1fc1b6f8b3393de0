"""rungs: how well does a short training foretell how blocks rank after a long one?

Draws blocks of cnn2_dropout's space at random and trains each for its full length, which is the truth. Two ways to know
it from fewer epochs are compared by Kendall's tau of the validation ROC-AUC:

- resumed: the first epochs of the full training, whose schedule is that of its full length
- restarted: a training of its own for so many epochs, with a whole schedule

Prints a Markdown table. See benchmarks/README.md for what each number means.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
from scipy.stats import kendalltau

from benchmarks import tuning, workspace
from study.base import files, runtime
from study.data import arrays
from study.params.load import load
from study.params.schema import override
from study.search import space
from study.search.training import train
from study.training.task import Task

MODEL = "cnn2_dropout"
SEED = 0
SCORED = "scored.json"


def main() -> None:
    options = parse()
    with workspace.workspace() as folder:
        workspace.apart(tuning.write_images, options.data, options.images, folder / "part.npz")

        def change(content: dict) -> None:
            workspace.use_npz(content, folder / "part.npz")
            content["models"] = {MODEL: content["models"][MODEL]}
            content["tune"]["space"]["cnn"]["convolutions_per_block"] = options.convolutions
            if options.bfloat16:
                content["models"][MODEL]["precision"] = "mixed_bfloat16"

        workspace.change_params(folder, change)
        for module in ("stages.download", "stages.prepare"):
            workspace.run(folder, module)
        workspace.apart(measure, folder, options.blocks, options.epochs, options.rungs)
        print("\n".join(rows(files.read_json(folder / SCORED, list), options.rungs)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rungs", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    parser.add_argument("--images", type=int, metavar="N", help="use the first N training images only")
    parser.add_argument("--blocks", type=int, metavar="N", default=20, help="blocks to draw (20)")
    parser.add_argument("--epochs", type=int, metavar="N", default=10, help="the full length (10)")
    parser.add_argument(
        "--rungs", type=int, nargs="+", metavar="N", default=[2, 3], help="the short lengths, in epochs (2 3)"
    )
    parser.add_argument(
        "--convolutions", type=int, nargs="+", metavar="N", default=[1], help="convolutions per block to draw from (1)"
    )
    parser.add_argument("--bfloat16", action="store_true", help="train in mixed_bfloat16")
    return parser.parse_args()


def measure(folder: Path, count: int, full: int, rungs: list[int]) -> None:
    """Train all blocks in all lengths; write what they score after each epoch."""
    os.chdir(folder)
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    block, values = params.models[MODEL], params.tune.space.cnn
    values = {key: value for key, value in values.items() if key != "epochs"}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    study.enqueue_trial(space.nearest(block, values))
    results = []
    for number in range(count):
        trial = study.ask()
        drawn = override(block, space.suggested(trial, values) | {"epochs": full}, "tune").model_dump(mode="json")

        def history(epochs: int, number: int = number, drawn: dict = drawn) -> list[float]:
            task = Task(
                name=f"rungs/{number}-{epochs}",
                title=f"block {number}",
                block_name="params.yaml: tune.space.cnn",
                script=MODEL,
                block=drawn,
                epochs=epochs,
                seed=params.seed,
                data=arrays.prepared_digest(),
                weights=None,
                keeps_weights=False,
            )
            return [row["val_roc_auc"] for row in train(task)["history"]]

        result = {str(epochs): history(epochs) for epochs in (full, *rungs)}
        print(trial.params, result, file=sys.stderr, flush=True)
        results.append(result)
    files.write_json(SCORED, results)


def rows(results: list[dict], rungs: list[int]) -> Iterator[str]:
    """A row per way and length."""
    histories = {int(epochs): [result[epochs] for result in results] for epochs in results[0]}
    epochs = max(histories)
    full = np.array([history[-1] for history in histories[epochs]])
    yield "| way | epochs | Kendall's tau | full rank of its best | epochs, if a third goes on |\n|---|---|---|---|---|"
    for rung in rungs:
        for way, length in {"resumed": epochs, "restarted": rung}.items():
            scores = [history[rung - 1] for history in histories[length]]
            rank = 1 + int((full > full[np.argmax(scores)]).sum())
            spent = len(full) * rung + -(-len(full) // 3) * (epochs - (rung if way == "resumed" else 0))
            yield f"| {way} | {rung} | {kendalltau(scores, full).statistic:.2f} | {rank} of {len(full)} | {spent} |"


if __name__ == "__main__":
    runtime.run(main)
