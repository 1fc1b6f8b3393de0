"""Training runs, done by this process or by workers. A run goes to a worker as a task of plain data."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from typing_extensions import TypedDict

from study.data.arrays import Prepared
from study.models.common.architecture import Architecture
from study.params.schema import FAMILIES
from study.scoring.predict import predict
from study.scoring.scores import point
from study.training.checkpoint import Checkpoint, Row, Unkept, ignore, kind_of_arithmetic
from study.training.network import Network
from study.training.run import DivergedError, Run, checkpoint_of

Task = dict[str, Any]  # the fields of a `Run`, its block as JSON


class Result(TypedDict):
    """What a run came to."""

    roc_auc: float | None  # of the trained model on validation; None if it diverged, or if its weights are kept
    history: list[Row]  # as `Network.train` returns it; of a run that diverged, up to there
    diverged: str | None  # the message of the DivergedError
    kind: str  # of the arithmetic that it was trained with


class Workers(Protocol):
    """Processes that train."""

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[Result, list[np.ndarray]]]:
        """The results of tasks, in their order, and the weights of those that keep them."""


def outcomes(
    architecture: Architecture,
    prepared: Prepared | None,
    runs: Sequence[Run],
    workers: Workers | None = None,
    on_epoch: Callable[[Row], None] = ignore,
) -> Iterator[tuple[Result, keras.Model | None]]:
    """The result of each run, in their order, and its model if the run keeps its weights and did not diverge.

    The workers train, or this process does. What was trained before a kill is not trained again. The next run changes
    the model. `on_epoch` sees the history of the first run. The data may be None if workers train and no weights are
    kept. Raises UserError as `Network.train` does, except if the loss is not finite.
    """
    if workers:
        return by_workers(workers, architecture, prepared, runs, on_epoch)
    return here(architecture, prepared, runs, on_epoch)


def here(
    architecture: Architecture,
    prepared: Prepared,
    runs: Sequence[Run],
    on_epoch: Callable[[Row], None] = ignore,
    open_checkpoint: Callable[[Run], Checkpoint | Unkept] = checkpoint_of,
) -> Iterator[tuple[Result, keras.Model | None]]:
    """`outcomes` of this process, which trains one run after the other."""
    network = Network(architecture, prepared)
    for run in runs:
        checkpoint, model = open_checkpoint(run), None
        result = checkpoint.result()
        if result and run.keeps_weights and not result["diverged"]:
            model = kept_model(network, run, checkpoint)
            result = result if model else None
            for row in result["history"] if result else ():
                on_epoch(row)
        print(f"{run.title}, epochs: {run.epochs}{' (finished before)' if result else ''}", flush=True)
        if not result:
            result = Result(roc_auc=None, history=[], diverged=None, kind=kind_of_arithmetic())
            try:
                model, result["history"] = network.train(run, checkpoint, on_epoch)
            except DivergedError as error:
                result |= {"history": error.history, "diverged": str(error)}
        if model and not run.keeps_weights:
            probabilities = predict(model, prepared.validation.images)
            result["roc_auc"] = point(prepared.validation.labels, probabilities)["roc_auc"]
        checkpoint.finish(result, model.weights if model and run.keeps_weights else ())
        yield result, model
        on_epoch = ignore


def kept_model(network: Network, run: Run, checkpoint: Checkpoint | Unkept) -> keras.Model | None:
    """The model of a run that was finished before; None if its weights are not there."""
    if not (weights := checkpoint.weights()):
        return None
    model = network.empty_model(run)
    model.set_weights(weights)
    return model


def by_workers(
    workers: Workers,
    architecture: Architecture,
    prepared: Prepared | None,
    runs: Sequence[Run],
    on_epoch: Callable[[Row], None] = ignore,
) -> Iterator[tuple[Result, keras.Model | None]]:
    """`outcomes` of workers."""
    model = block = None
    for run, (result, weights) in zip(runs, workers.outcomes(list(map(task_of, runs))), strict=True):
        if run is runs[0]:
            for row in result["history"]:
                on_epoch(row)
        if weights:
            if run.block != block:
                model, block = Network(architecture, prepared).empty_model(run), run.block
            model.set_weights(weights)
        yield result, model if weights else None


def trained(
    task: Task, architecture: Architecture, prepared: Prepared, checkpoint: Checkpoint | Unkept
) -> tuple[Result, keras.Model | None]:
    """The outcome of a task in the process that trains for a worker."""
    return next(here(architecture, prepared, [run_of(task)], open_checkpoint=lambda run: checkpoint))


def task_of(run: Run) -> Task:
    return dataclasses.asdict(run) | {"block": run.block.model_dump(mode="json")}


def run_of(task: Task) -> Run:
    return Run(**task | {"block": FAMILIES[task["block"]["family"]].model_validate(task["block"])})


def checkpoint_of_task(task: Task) -> Checkpoint:
    return checkpoint_of(run_of(task))
