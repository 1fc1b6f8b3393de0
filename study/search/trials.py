"""The outcome of a search: its winner, and a table of its trials."""

import itertools
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from study.base import files
from study.base.runtime import UserError
from study.models.common.schema import Block
from study.params.schema import Tune, override
from study.scoring.scores import DECIMALS, Scores
from study.search.confirm import Choice, Finalist
from study.search.outcome.winner import Winner

COLUMNS = ["model", "trial", "round", "state", "rung", "epochs_run", "validation_roc_auc"]


def candidates(models: Mapping[str, Block], tune: Tune) -> list[str]:
    """The models to tune: those named, or the best by validation ROC-AUC."""
    if not isinstance(tune.models, int):
        return tune.models
    score = {model: files.read_json(f"metrics/validation/{model}.json", Scores)["roc_auc"] for model in models}
    return sorted(score, key=score.get, reverse=True)[: tune.models]


def finalists(studies: Mapping[str, optuna.Study], models: Mapping[str, Block], tune: Tune) -> list[Finalist]:
    """The best complete trials, the best first: as many as params say, one at least.

    Raises UserError if no trial went through all rungs.
    """
    best: list[Finalist] = []
    complete = [(model, trial) for model, trial in trained(studies) if trial.state == TrialState.COMPLETE]
    for model, trial in sorted(complete, key=lambda each: -each[1].value):
        block = override(models[model], trial.params | {"repeats": tune.repeats}, "tune")
        control = override(models[model], {"epochs": block.epochs, "repeats": tune.repeats}, "tune")
        best.append(Finalist(model, trial.number, trial.params, trial.value, block, control))
    if not best:
        raise UserError(
            "params.yaml: tune: no trial was trained to its end with a finite loss; allow lower learning rates in "
            "tune.space"
        )
    return best[: max(1, tune.finalists)]


def outcome(studies: Mapping[str, optuna.Study], choice: Choice, seed: int) -> Winner:
    """The record of a search."""
    every = [trial for _, trial in trained(studies)]
    complete = [trial.value if trial.state == TrialState.COMPLETE else -np.inf for trial in every]
    return {
        "model": choice.winner.model,
        "trials": len(every),
        "epochs": sum(trial.user_attrs["epochs_run"] for trial in every),
        "kinds_of_arithmetic": len(choice.kinds.union(*(trial.user_attrs["kinds"] for trial in every))),
        "trial": choice.winner.trial,
        "validation_roc_auc": round(choice.roc_auc, DECIMALS),
        "values": choice.winner.values,
        "confirm": choice.record,
        "seed": seed,
        "block": choice.winner.block.model_dump(),
        "control": choice.winner.control.model_dump(),
        "best_so_far": [
            {"trial": number, "validation_roc_auc": round(float(score), DECIMALS)}
            for number, score in enumerate(itertools.accumulate(complete, max))
            if np.isfinite(score)
        ],
    }


def trained(studies: Mapping[str, optuna.Study]) -> list[tuple[str, FrozenTrial]]:
    """The trials with the names of their models, but for those that asked for the setting of an earlier one."""
    kept = [TrialState.COMPLETE, TrialState.PRUNED]
    return [(model, trial) for model, study in studies.items() for trial in study.get_trials(states=kept)]


def write_table(studies: Mapping[str, optuna.Study], path: str) -> None:
    """A row per trial: COLUMNS, then params.

    `rung` is the last one with a score, from 0, and the score is of this rung; both are empty if no run ended with
    a finite loss. `epochs_run` counts all rungs.
    """
    every = trained(studies)
    keys = sorted({key for _, trial in every for key in trial.params})
    rows = []
    for model, trial in every:
        attributes = trial.user_attrs
        rung, score = ("", "") if trial.value is None else (attributes["rung"], f"{trial.value:.6f}")
        state = trial.state.name.lower()
        row = [model, trial.number, attributes["round"], state, rung, attributes["epochs_run"], score]
        rows.append(row + [_shown(trial.params.get(key, "")) for key in keys])
    files.write_csv(path, [*COLUMNS, *keys], rows)


def _shown(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
