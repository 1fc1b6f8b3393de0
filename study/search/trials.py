"""The search: trials of one model's block, each a training of its own, told to Optuna in order."""

import math
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from study import files
from study.data.arrays import Prepared
from study.models import scripts
from study.models.schema import Block
from study.params.schema import Tune, override
from study.progress import Estimate
from study.runtime import UserError
from study.scoring.predict import predict
from study.scoring.scores import DECIMALS, Scores, point
from study.search import space
from study.search.winner import Winner
from study.training.checkpoint import Row
from study.training.fit import DivergedError, Run, fit, start

LEAST_EPOCHS = 2  # of a trial, before it may be pruned
SAMPLERS = {
    "tpe": lambda tune, _, seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=tune.startup_trials),
    "grid": lambda _, values, seed: optuna.samplers.GridSampler(values, seed=seed),
}
PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=LEAST_EPOCHS),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=LEAST_EPOCHS),
    "none": optuna.pruners.NopPruner,
}


def search(model: str, block: Block, tune: Tune, prepared: Prepared, seed: int) -> optuna.Study:
    """Maximise the validation ROC-AUC of `block` over its family's space; trial 0 of `tpe` is the block, or next to it.

    A killed search, called again, takes the trials that were finished as they were, and ends with the same study.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # else it prints the traceback of what ends a trial
    scripts.architecture(model)  # loads its code, which belongs to the key of every trial's checkpoint
    values = getattr(tune.space, block.family)
    study = optuna.create_study(
        study_name=model,  # the hyperband pruner draws from it
        direction="maximize",
        sampler=SAMPLERS[tune.sampler](tune, values, seed),
        pruner=PRUNERS[tune.pruner](),
    )
    if tune.sampler == "tpe":
        study.enqueue_trial(space.nearest(block, values))

    count = tune.trials if tune.sampler == "tpe" else math.prod(map(len, values.values()))
    estimate = Estimate(count)
    inputs = tune.model_dump(exclude={"repeats"})

    def objective(trial: optuna.Trial) -> float:
        changed = override(block, space.suggested(trial, values), "tune")
        epochs = min(tune.epochs or changed.epochs, changed.epochs)
        name, shown = f"tune/{model}-{trial.number}", f"params.yaml: trial {trial.number} of tune: models.{model}"
        run = start(name, changed, seed, prepared, epochs, shown, search=inputs)
        return run_trial(trial, model, run)

    def show_time_left(study: optuna.Study, trial: FrozenTrial) -> None:
        print(f"{trial.number + 1}/{count} trials; about {estimate.finish_one()} left", flush=True)

    study.optimize(objective, n_trials=count, callbacks=[show_time_left])
    return study


def candidates(models: Mapping[str, Block], tune: Tune) -> list[str]:
    """The models to tune: those named, or the best by validation ROC-AUC."""
    if not isinstance(tune.models, int):
        return tune.models
    score = {model: files.read_json(f"metrics/validation/{model}.json", Scores)["roc_auc"] for model in models}
    return sorted(score, key=score.get, reverse=True)[: tune.models]


def outcome(studies: Mapping[str, optuna.Study], models: Mapping[str, Block], tune: Tune) -> Winner:
    """The record of a search. Raises UserError where no trial has a score."""
    finished = [model for model, study in studies.items() if completed(study)]
    if not finished:
        raise UserError("params.yaml: tune: no trial was completed; narrow tune.space or set tune.pruner to none")
    model = max(finished, key=lambda model: studies[model].best_value)
    best = studies[model].best_trial
    block = override(models[model], best.params | {"repeats": tune.repeats}, "tune")
    every = [trial for study in studies.values() for trial in study.trials]
    scores = np.maximum.accumulate([-np.inf if trial.value is None else trial.value for trial in every])
    return {
        "model": model,
        "trials": len(every),
        "epochs": sum(map(epochs_run, every)),
        "trial": best.number,
        "validation_roc_auc": round(best.value, DECIMALS),
        "values": best.params,
        "block": block.model_dump(),
        "best_so_far": [
            {"trial": number, "validation_roc_auc": round(float(score), DECIMALS)}
            for number, score in enumerate(scores)
            if np.isfinite(score)
        ],
    }


def run_trial(trial: optuna.Trial, model: str, run: Run) -> float:
    """Train once, or take what an earlier process finished; the validation ROC-AUC. Raises TrialPruned."""
    history: list[tuple[int, float]] = []

    def report(epoch: int, roc_auc: float) -> None:
        history.append((epoch, roc_auc))
        trial.report(roc_auc, epoch)
        if epoch < run.epochs and trial.should_prune():
            raise optuna.TrialPruned

    def on_epoch(row: Row) -> None:
        report(row["epoch"], row["val_roc_auc"])

    result = run.checkpoint.result()
    print(f"trial {trial.number} of {model}: {trial.params}{' (finished before)' if result else ''}", flush=True)
    if result:  # told to Optuna as it was, so that what follows is the same
        for epoch, roc_auc in result["history"]:
            report(epoch, roc_auc)
    else:
        result = {"history": history, "roc_auc": None}
        try:
            trained, _ = fit(scripts.architecture(model), run, on_epoch)
            validation = run.prepared.validation
            result["roc_auc"] = point(validation.labels, predict(trained, validation.images))["roc_auc"]
        except (optuna.TrialPruned, DivergedError):
            pass
        run.checkpoint.finish(result)
    if result["roc_auc"] is None:
        raise optuna.TrialPruned
    return result["roc_auc"]


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a score."""
    return study.get_trials(states=[TrialState.COMPLETE])


def epochs_run(trial: FrozenTrial) -> int:
    return max(trial.intermediate_values, default=0)


def write_table(studies: dict[str, optuna.Study], path: str) -> None:
    """A row per trial: model, number, state, epochs run, validation ROC-AUC (empty where it was pruned), and params."""
    keys = sorted({key for study in studies.values() for trial in study.trials for key in trial.params})
    rows = []
    for model, study in studies.items():
        for trial in study.trials:
            score = "" if trial.value is None else f"{trial.value:.6f}"
            row = [model, trial.number, trial.state.name.lower(), epochs_run(trial), score]
            rows.append(row + [_shown(trial.params.get(key, "")) for key in keys])
    files.write_csv(path, ["model", "trial", "state", "epochs_run", "validation_roc_auc", *keys], rows)


def _shown(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
