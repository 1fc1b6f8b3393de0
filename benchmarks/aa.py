"""aa: how often one block, trained again from other seeds, is called better or worse than itself.

Trains a block of params.yaml 24 times by the stages and on their images, and scores each training run on the test
split. Asks the second question, "would the change hold if both were trained again?", of pairs of 3 against 3 runs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import results, verdicts, workspace
from study.base import files, runtime
from study.evaluation import test_split
from study.evaluation.final_scores import shortfalls
from study.model_files import keras_file, repeats_file
from study.params.load import load
from study.scoring.predict import predict
from study.scoring.scores import point

MODEL = "cnn3_plateau"
RUNS, SIDE = 24, 3
SEED = 0
SCORED = "scored.npz"


def main() -> None:
    parser = results.parser("aa", __doc__)
    results.add_number(parser, "--draws", 2000, "pairs of 3 against 3 of the same training runs")
    options = parser.parse_args()
    with results.page(options) as page:
        columns = ["block", "training runs", "mean test ROC-AUC", "sd", "pairs", "told apart"]
        page.table(columns, rows(options.draws))


def rows(draws: int) -> Iterator[list[str]]:
    with workspace.workspace(only_the_block) as folder:
        workspace.prepare(folder)
        workspace.train(folder, MODEL)
        workspace.apart(score, folder)
        with np.load(folder / SCORED) as scored:
            areas, labels = scored["areas"], scored["labels"]
            share = told_apart(areas, scored["shortfalls"], labels, draws)
    yield [MODEL, RUNS, f"{areas.mean():.4f}", f"{areas.std(ddof=1):.4f}", f"{draws:,}", results.percent(share)]


def only_the_block(content: dict) -> None:
    content["models"] = {MODEL: content["models"][MODEL] | {"repeats": RUNS}}


def score(folder: Path) -> None:
    """Write the areas (R,) of all training runs, their shortfalls (R, N) and the labels (N,)."""
    os.chdir(folder)
    runtime.use_threads(load("threads").threads)
    test, _ = test_split.read()
    models = repeats_file.each(MODEL, keras_file.read(f"models/{MODEL}.keras"), repeats_file.read(MODEL))
    probabilities = [predict(model, test.images) for model in models]
    files.write_npz(
        SCORED,
        areas=np.array([point(test.labels, each)["roc_auc"] for each in probabilities]),
        shortfalls=shortfalls(test.labels, probabilities),
        labels=test.labels.astype(np.int64),
    )


def told_apart(areas: np.ndarray, shortfalls: np.ndarray, labels: np.ndarray, draws: int) -> float:
    """The share of pairs of two sides without a common training run that are called better or worse."""
    rng, count = np.random.default_rng(SEED), 0
    for _ in range(draws):
        sides = rng.permutation(len(areas))[: 2 * SIDE].reshape(2, 1, SIDE)
        (one,), (other,) = (verdicts.of_run(areas[side], shortfalls[side], labels) for side in sides)
        count += verdicts.is_claim(*verdicts.verdicts([(one, other)]))
    return count / draws


if __name__ == "__main__":
    runtime.run(main)
