"""aa: how often is one block called better or worse than itself? Asked of real trainings.

Trains the block cnn3_plateau of params.yaml 24 times from different seeds, by the stages and on their images, and
scores each training on the test split. Asks the second question, "would the change hold if both were trained again?",
of 20 pairs of 3 against 3 of these trainings. Fails where 4 pairs or more are told apart.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError
from study.evaluation import seeds, test_split
from study.evaluation.final_scores import shortfalls
from study.model_files import keras_file, repeats_file
from study.params.load import load
from study.report import differences
from study.report.differences import Answer
from study.report.seed_noise import Training, seed_noise
from study.scoring.predict import predict
from study.scoring.scores import point

MODEL = "cnn3_plateau"
TRAININGS, SIDE = 24, 3
PAIRS = 20
LIMIT = 4  # of them; 20 independent pairs, each false with a chance of 5 %, reach it in 1.6 % of runs
MANY = 2000  # further pairs, for a share that is less rough; no more independent trainings
SEED = 0
SCORED = "scored.npz"


def main() -> None:
    with workspace.workspace(only_the_block) as folder:
        for stage in ("download", "prepare", f"train.{MODEL}"):
            workspace.run(folder, f"stages.{stage}")
        workspace.apart(score, folder)
        scored = files.read_npz(folder / SCORED, "areas", "shortfalls", "labels")
    areas = scored["areas"]
    print(f"{MODEL}, {len(areas)} trainings: mean test ROC-AUC {areas.mean():.4f}, sd {areas.std(ddof=1):.4f}")
    false, false_of_many = (told_apart(*scored.values(), count) for count in (PAIRS, MANY))
    print(f"told apart: {false} of {PAIRS} pairs, and {100 * false_of_many / MANY:.1f} % of {MANY:,}")
    if false >= LIMIT:
        raise UserError(f"{false} of {PAIRS} pairs of one block are told apart; allowed: fewer than {LIMIT}")


def only_the_block(content: dict) -> None:
    content["models"] = {MODEL: content["models"][MODEL] | {"repeats": TRAININGS}}


def score(folder: Path) -> None:
    """Write the areas (R,) of all trainings, their shortfalls (R, N) and the labels (N,)."""
    os.chdir(folder)
    runtime.use_threads(load("threads").threads)
    test, _ = test_split.read()
    trainings = repeats_file.each(MODEL, keras_file.read(f"models/{MODEL}.keras"), repeats_file.read(MODEL))
    probabilities = [predict(model, test.images) for model in trainings]
    files.write_npz(
        SCORED,
        areas=np.array([point(test.labels, each)["roc_auc"] for each in probabilities]),
        shortfalls=shortfalls(test.labels, probabilities),
        labels=test.labels.astype(np.int64),
    )


def told_apart(areas: np.ndarray, shortfalls: np.ndarray, labels: np.ndarray, count: int) -> int:
    """How many of `count` pairs are called better or worse."""
    answers = (answer(areas, shortfalls, labels, *pair) for pair in pairs(len(areas), count))
    return sum(differences.verdict(each, each.p) != "no difference shown" for each in answers)


def pairs(trainings: int, count: int) -> Iterator[np.ndarray]:
    """The rows of two sides, (2, SIDE): a draw of pairs without a common training, then another such draw."""
    rng, at_once = np.random.default_rng(SEED), trainings // (2 * SIDE)
    for number in range(count):
        if number % at_once == 0:
            drawn = rng.permutation(trainings)[: at_once * 2 * SIDE].reshape(at_once, 2, SIDE)
        yield drawn[number % at_once]


def answer(areas: np.ndarray, shortfalls: np.ndarray, labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> Answer:
    """The second question, asked of two blocks of one family with these trainings."""
    spreads = {
        name: seeds.spread(areas[rows], shortfalls[rows], labels) for name, rows in (("one", one), ("other", other))
    }
    trainings = [Training(SIDE, seed_noise(name, dict.fromkeys(spreads, "cnn"), spreads)) for name in spreads]
    return differences.retrained(
        areas[one].mean() - areas[other].mean(),
        shortfalls[other].mean(axis=0) - shortfalls[one].mean(axis=0),
        labels,
        *trainings,
    )


if __name__ == "__main__":
    runtime.run(main)
