"""Whole trainings as tasks of plain data, which any process of this code can run."""

from typing import Any

import keras
from typing_extensions import TypedDict

from study.data import arrays
from study.data.arrays import Prepared
from study.models.common.architecture import Architecture
from study.models.common.schema import Block
from study.params.schema import FAMILIES
from study.scoring.predict import predict
from study.scoring.scores import point
from study.training.checkpoint import Checkpoint, Row, Unkept, kind_of_arithmetic
from study.training.fit import checkpoint_of, fit, seed_of, weights_digest
from study.training.loop import DivergedError, Run


class Task(TypedDict):
    """A training: what it depends on besides the code, and what is to be said and kept of it."""

    name: str  # of its checkpoint
    title: str  # in what is printed
    block_name: str  # in messages, in front of a param's
    script: str  # stages/train/SCRIPT.py holds the architecture
    block: dict[str, Any]  # as JSON
    epochs: int
    seed: int
    data: str  # SHA-256 of data/prepared.npz
    weights: str | None  # SHA-256 of the file that the block names, if it does
    keeps_weights: bool  # whether those of the trained model are wanted, of a training elsewhere


class Result(TypedDict):
    """What a training came to. One that diverged has no score, and the history up to there."""

    roc_auc: float | None  # of the trained model on validation
    history: list[Row]  # as `fit` returns it
    diverged: str | None  # the message of the DivergedError
    kind: str  # of the arithmetic that it was trained with


def tasks_of_repeats(name: str, script: str, block: Block, seed: int, block_name: str) -> list[Task]:
    """The trainings of a block of stages/train/SCRIPT.py from different seeds, the first of them from `seed`."""
    return [
        Task(
            name=f"{name}-repeat-{repeat}" if repeat else name,
            title=f"repeat {repeat} of {name}",
            block_name=block_name,
            script=script,
            block=block.model_dump(mode="json"),
            epochs=block.epochs,
            seed=seed_of(seed, repeat),
            data=arrays.prepared_digest(),
            weights=weights_digest(block),
            keeps_weights=True,
        )
        for repeat in range(block.repeats)
    ]


def run_of(task: Task, prepared: Prepared, checkpoint: Checkpoint | Unkept) -> Run:
    return Run(block_of(task), prepared, task["seed"], task["epochs"], checkpoint, task["block_name"])


def checkpoint_of_task(task: Task) -> Checkpoint:
    """Its key holds the code that is loaded: the script's, too, from then on that it was imported."""
    return checkpoint_of(task["name"], block_of(task), task["seed"], task["epochs"], task["data"])


def block_of(task: Task) -> Block:
    return FAMILIES[task["block"]["family"]].model_validate(task["block"])


def trained(
    task: Task, architecture: Architecture, prepared: Prepared, checkpoint: Checkpoint | Unkept
) -> tuple[Result, keras.Model | None]:
    """Train, from where the checkpoint stands; no model comes of a training that diverged.

    Raises UserError as `fit` does, but where the loss is not finite.
    """
    result, model = Result(roc_auc=None, history=[], diverged=None, kind=kind_of_arithmetic()), None
    try:
        run = run_of(task, prepared, checkpoint)
        model, _ = fit(architecture, run, result["history"].append)
        result["roc_auc"] = point(prepared.validation.labels, predict(model, prepared.validation.images))["roc_auc"]
    except DivergedError as error:
        result["diverged"] = str(error)
    return result, model
