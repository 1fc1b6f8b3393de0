"""The stage train@NAME, and what `best` shares with it."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from study.base import files, runtime
from study.data import arrays
from study.display import live
from study.model_files import keras_file, repeats_file
from study.model_files.card import Card
from study.model_files.repeats_file import Repeats
from study.models.common.architecture import Architecture
from study.params.load import load
from study.scoring import calibration
from study.scoring.predict import predict
from study.scoring.scores import DECIMALS, point, scores
from study.training import executor
from study.training.checkpoint import Row, ignore
from study.training.run import DivergedError, Run, repeats
from study.training.task import outcomes


@dataclass(frozen=True)
class Trained:
    """A block's first model, the weights of its repeats, and the record of their scores."""

    model: keras.Model
    repeats: Repeats
    card: Card
    record: dict


def train(name: str, architecture: Architecture) -> None:
    """Train the model of `models.NAME`, and write it and its record."""
    params = load("seed", "threads", f"models.{name}")
    runtime.use_threads(params.threads)
    with live.metrics(name) as log:
        runs = repeats(name, name, params.models[name], params.seed, f"params.yaml: models.{name}")
        write(name, train_block(name, architecture, runs, log))


def train_block(
    name: str, architecture: Architecture, runs: Sequence[Run], on_epoch: Callable[[Row], None] = ignore
) -> Trained:
    """Train the runs of one block.

    The record holds the first model's scores, by which a model is chosen, the temperature that would calibrate it, its
    history, and the scores of each repeat. `on_epoch` sees the first run.
    """
    prepared = arrays.read_prepared()
    labels, weights, records = prepared.validation.labels, [], []
    with executor.connected(len(runs)) as workers:
        for run, (result, model) in zip(runs, outcomes(architecture, prepared, runs, workers, on_epoch), strict=True):
            if result["diverged"]:
                raise DivergedError(result["diverged"])
            probabilities = predict(model, prepared.validation.images)
            if not records:
                temperature = round(calibration.temperature(labels, probabilities), DECIMALS)
                record, history = scores(labels, probabilities) | {"temperature": temperature}, result["history"]
            records.append({"seed": run.seed} | point(labels, probabilities))
            if len(runs) > 1:  # of the one network, whose weights are those of the last run
                weights.append(model.get_weights())
            print(f"{name}, seed {run.seed}: validation ROC-AUC {records[-1]['roc_auc']:.4f}", flush=True)
    if weights:
        model.set_weights(weights[0])
    card = Card(prepared.class_names, record["temperature"], prepared.fit)
    tables = {"repeats": list(map(rounded, records)), "history": list(map(rounded, history))}
    return Trained(model, Repeats([run.seed for run in runs], weights[1:]), card, record | tables)


def write(name: str, trained: Trained) -> None:
    """Write models/NAME.keras, models/repeats/NAME.npz and metrics/validation/NAME.json."""
    gc.collect()  # the optimizer's state and the graphs, before the file's weights take memory
    keras_file.write(f"models/{name}.keras", trained.model, trained.card)
    repeats_file.write(name, trained.repeats)
    files.write_json(f"metrics/validation/{name}.json", trained.record)


def rounded(row: dict) -> dict:
    """With six digits of each fraction."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}
