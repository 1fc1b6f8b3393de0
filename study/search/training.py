"""A training of the search: a module-level function from plain data to a plain result, so that any executor can run it.

A trial trains anew for each rung, under a whole schedule of the rung's length.
"""

from typing import Any

from typing_extensions import TypedDict

from study.data import arrays
from study.models import scripts
from study.params.schema import FAMILIES
from study.scoring.predict import predict
from study.scoring.scores import point
from study.training.fit import DivergedError, fit, start


class Task(TypedDict):
    """What a training depends on besides code and data."""

    model: str
    trial: int
    block: dict[str, Any]  # as JSON
    epochs: int
    seed: int


class Result(TypedDict):
    """What a training came to."""

    roc_auc: float | None  # of the trained model on validation; None if it diverged
    history: list[float]  # the same after each epoch that was run, of single images


def train(task: Task) -> Result:
    """Train a trial for one rung, or take the result that a killed search has kept."""
    model, trial, block = task["model"], task["trial"], task["block"]
    architecture = scripts.architecture(model)  # its code belongs to the checkpoint's key
    shown = f"params.yaml: trial {trial} of tune: models.{model}"
    prepared, block = arrays.read_prepared(), FAMILIES[block["family"]].model_validate(block)
    run = start(f"tune/{model}-{trial}", block, task["seed"], prepared, task["epochs"], shown)
    result = run.checkpoint.result()
    print(f"trial {trial} of {model}, epochs: {run.epochs}{' (finished before)' if result else ''}", flush=True)
    if result:
        return result

    result = Result(roc_auc=None, history=[])
    try:
        trained, _ = fit(architecture, run, lambda row: result["history"].append(row["val_roc_auc"]))
        result["roc_auc"] = point(prepared.validation.labels, predict(trained, prepared.validation.images))["roc_auc"]
    except DivergedError:
        pass
    run.checkpoint.finish(result)
    return result
