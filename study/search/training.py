"""A training of the search: a module-level function from plain data to a plain result, so that any executor can run it.

A trial is one training, under the schedule of its full length. It pauses after each rung and goes on if it is promoted.
"""

from typing import Any

from typing_extensions import TypedDict

from study.data import arrays
from study.models import scripts
from study.models.architecture import Architecture
from study.params.schema import FAMILIES
from study.scoring.predict import predict
from study.scoring.scores import point
from study.training.fit import DivergedError, Run, fit, start


class Task(TypedDict):
    """What a training depends on besides code and data, and how far it goes."""

    model: str
    trial: int
    block: dict[str, Any]  # as JSON
    epochs: int  # of the full length
    until: int  # the last epoch of the rung
    seed: int


class Result(TypedDict):
    """What a training came to at the end of a rung."""

    roc_auc: float | None  # on validation; None if it diverged
    history: list[float]  # the same after each epoch since the training began, of single images


def train(task: Task) -> Result:
    """Train a trial until the end of a rung, or take the result that a killed search has kept.

    A model that is trained to its end is scored as it predicts, any other by single images.
    """
    until, (architecture, run) = task["until"], _start(task)
    results = run.checkpoint.result() or {}
    result = results.get(str(until))
    print(f"{_shown(task)}, until epoch {until}{' (finished before)' if result else ''}", flush=True)
    if result:
        return result

    history, roc_auc, is_over = [], None, True
    try:
        trained, _ = fit(architecture, run, lambda row: history.append(row["val_roc_auc"]), until=until)
        is_over = until == run.epochs or len(history) < until
        if is_over:
            validation = run.prepared.validation
            roc_auc = point(validation.labels, predict(trained, validation.images))["roc_auc"]
        else:
            roc_auc = history[until - 1]
    except DivergedError:
        pass
    results[str(until)] = result = Result(roc_auc=roc_auc, history=history[:until])
    (run.checkpoint.finish if is_over else run.checkpoint.pause)(results)
    return result


def give_up(task: Task) -> None:
    """Delete the state of a paused training that does not go on; its results stay."""
    _, run = _start(task)
    run.checkpoint.finish(run.checkpoint.result())


def _start(task: Task) -> tuple[Architecture, Run]:
    architecture = scripts.architecture(task["model"])  # its code belongs to the checkpoint's key
    block = FAMILIES[task["block"]["family"]].model_validate(task["block"])
    name, shown = f"tune/{task['model']}-{task['trial']}", f"params.yaml: {_shown(task, ' of tune: models.')}"
    return architecture, start(name, block, task["seed"], arrays.read_prepared(), task["epochs"], shown)


def _shown(task: Task, of: str = " of ") -> str:
    return f"trial {task['trial']}{of}{task['model']}"
