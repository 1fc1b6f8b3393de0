"""The stage train@NAME, and what `best` shares with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from study.base import files, runtime
from study.data import arrays
from study.data.arrays import Prepared
from study.display import live
from study.model_files import keras_file, repeats_file
from study.model_files.card import Card
from study.model_files.repeats_file import Repeats
from study.models.common.architecture import Architecture
from study.models.common.schema import Block
from study.params.load import load
from study.scoring import calibration
from study.scoring.predict import predict
from study.scoring.scores import DECIMALS, point, scores
from study.training import executor
from study.training.checkpoint import Row, Unkept
from study.training.fit import empty_model, fit_repeats
from study.training.loop import DivergedError
from study.training.task import Task, checkpoint_of_task, run_of, tasks_of_repeats


@dataclass(frozen=True)
class Trained:
    """A block's first model, the weights of its repeats, and the record of their scores."""

    model: keras.Model
    repeats: Repeats
    card: Card
    record: dict


def train(name: str, architecture: Architecture) -> None:
    """Fit the model of `models.NAME`, and write it and its record."""
    params = load("seed", "threads", f"models.{name}")
    runtime.use_threads(params.threads)
    with live.metrics(name) as log:
        write(name, fit_block(name, architecture, params.models[name], params.seed, log))


def fit_block(
    name: str,
    architecture: Architecture,
    block: Block,
    seed: int,
    on_epoch: Callable[[Row], None] = lambda row: None,
    block_name: str = "",
    script: str = "",
) -> Trained:
    """Train a block as often as its `repeats` say.

    The record holds the first model's scores, by which a model is chosen, the temperature that would calibrate it, its
    history, and the scores of each repeat. `on_epoch` sees the first training; messages call the block `block_name`.
    The architecture is that of stages/train/SCRIPT.py; if empty, of the script of this name.
    """
    prepared = arrays.read_prepared()
    tasks = tasks_of_repeats(name, script or name, block, seed, block_name or f"params.yaml: models.{name}")
    labels, weights, records = prepared.validation.labels, [], []
    with executor.connected(len(tasks)) as workers:
        if workers:
            trainings = fit_elsewhere(workers, architecture, tasks, prepared, on_epoch)
        else:
            runs = [run_of(task, prepared, checkpoint_of_task(task)) for task in tasks]
            trainings = fit_repeats(architecture, runs, on_epoch)
        for task, (model, history) in zip(tasks, trainings, strict=True):
            probabilities = predict(model, prepared.validation.images)
            if not records:
                temperature = round(calibration.temperature(labels, probabilities), DECIMALS)
                record, rows = scores(labels, probabilities) | {"temperature": temperature}, history
            records.append({"seed": task["seed"]} | point(labels, probabilities))
            weights.append(model.get_weights())
            print(f"{name}, seed {task['seed']}: validation ROC-AUC {records[-1]['roc_auc']:.4f}", flush=True)
    model.set_weights(weights[0])
    repeats = Repeats([task["seed"] for task in tasks], weights[1:])
    card = Card(prepared.class_names, record["temperature"], prepared.fit)
    tables = {"repeats": list(map(rounded, records)), "history": list(map(rounded, rows))}
    return Trained(model, repeats, card, record | tables)


def fit_elsewhere(
    workers: Any,
    architecture: Architecture,
    tasks: Sequence[Task],
    prepared: Prepared,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> Iterator[tuple[keras.Model, list[Row]]]:
    """As `fit_repeats`, for trainings of an executor, whose epochs are seen once the first has arrived."""
    model = None
    for task, (result, weights) in zip(tasks, workers.outcomes(tasks), strict=True):
        if result["diverged"]:
            raise DivergedError(result["diverged"])
        if model is None:
            model = empty_model(architecture, run_of(task, prepared, Unkept()))
            for row in result["history"]:
                on_epoch(row)
        model.set_weights(weights)
        yield model, result["history"]


def write(name: str, trained: Trained) -> None:
    """Write models/NAME.keras, models/repeats/NAME.npz and metrics/validation/NAME.json."""
    keras_file.write(f"models/{name}.keras", trained.model, trained.card)
    repeats_file.write(name, trained.repeats)
    files.write_json(f"metrics/validation/{name}.json", trained.record)


def rounded(row: dict) -> dict:
    """With six digits of each fraction."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}
