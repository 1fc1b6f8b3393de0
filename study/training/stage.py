"""The stage train@NAME, and what `best` shares with it."""

import keras

from study import files, runtime
from study.data import arrays
from study.models import keras_file
from study.models.architecture import Architecture
from study.params.load import load
from study.scoring.predict import predict
from study.scoring.scores import Scores, scores
from study.training import live
from study.training.checkpoint import Row
from study.training.fit import Run, fit, start


def train(name: str, architecture: Architecture) -> None:
    """Fit the model of `models.NAME`; write it, its validation scores and its history."""
    params = load("seed", "threads", f"models.{name}")
    runtime.use_threads(params.threads)
    run = start(name, params.models[name], params.seed, arrays.read_prepared())
    with live.metrics(name) as log:
        model, history = fit(architecture, run, log)
    record = validation_scores(model, run)
    write(name, model, record, history)
    print(f"{name}: validation ROC-AUC {record['roc_auc']:.4f}, accuracy {record['accuracy']:.3f}")


def validation_scores(model: keras.Model, run: Run) -> Scores:
    """The scores by which a model is chosen."""
    validation = run.prepared.validation
    probabilities = predict(model, validation.images)
    return scores(validation.labels, probabilities)


def write(name: str, model: keras.Model, record: Scores, history: list[Row]) -> None:
    """Write a trained model and its record: validation scores, and the history, a row per epoch."""
    keras_file.write(f"models/{name}.keras", model)
    rows = [
        {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}
        for row in history
    ]
    files.write_json(f"metrics/validation/{name}.json", record | {"history": rows})
