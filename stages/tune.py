"""tune: search the knobs of the best models by validation ROC-AUC, with Optuna.

Reads data/prepared.npz, metrics/validation/*.json, models and tune of params.yaml; writes metrics/tune.json (the winner
and its whole param block), metrics/trials.csv and figures of history and importance to plots/tune.
"""

import matplotlib.pyplot as plt
import optuna

from stages.lib import architectures, dataset, errors, figures, files, params, scoring, training
from stages.lib.dataset import Prepared
from stages.lib.errors import UserError

LEAST_EPOCHS = 2  # of a trial, before it may be pruned
SAMPLERS = {
    "tpe": lambda tune, _, seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=tune.startup_trials),
    "grid": lambda _, space, seed: optuna.samplers.GridSampler(space, seed=seed),
}
PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=LEAST_EPOCHS),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=LEAST_EPOCHS),
    "none": optuna.pruners.NopPruner,
}


def main() -> None:
    seed, models, tune = params.load("seed", "models", "tune")
    prepared = dataset.read_prepared()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # else it prints the traceback of what ends a trial
    studies = {name: search(name, models[name], tune, prepared, seed) for name in candidates(models, tune)}

    complete = optuna.trial.TrialState.COMPLETE
    finished = [name for name, study in studies.items() if study.get_trials(states=[complete])]
    if not finished:
        raise UserError(f"{params.FILE}: tune: no trial was completed; narrow tune.space or set tune.pruner to none")
    winner = max(finished, key=lambda name: studies[name].best_value)
    study = studies[winner]
    block = params.override(models[winner], study.best_params, "tune")
    trials = [trial for study in studies.values() for trial in study.trials]
    files.write_json(
        "metrics/tune.json",
        {
            "model": winner,
            "trials": len(trials),
            "epochs": sum(map(epochs_run, trials)),
            "trial": study.best_trial.number,
            "validation_roc_auc": round(study.best_value, 6),
            "values": study.best_params,
            "block": block.model_dump(),
        },
    )
    write_trials(studies)
    figures.save(history(studies), "plots/tune/history.png")
    figures.save(importance(study, winner, seed), "plots/tune/importance.png")
    print(f"{winner}: {study.best_params}, validation ROC-AUC {study.best_value:.4f}")


def candidates(models: dict[str, params.Model], tune: params.Tune) -> list[str]:
    """The models to tune: those named, or the best by validation ROC-AUC."""
    if not isinstance(tune.models, int):
        return tune.models
    score = {name: files.read_json(f"metrics/validation/{name}.json", scoring.Scores)["roc_auc"] for name in models}
    return sorted(score, key=score.get, reverse=True)[: tune.models]


def search(name: str, block: params.Model, tune: params.Tune, prepared: Prepared, seed: int) -> optuna.Study:
    """Maximise the trained model's validation ROC-AUC; trial 0 of `tpe` is the model's own block, or next to it."""
    space = getattr(tune.space, block.family)
    build = architectures.build_of(name)

    def objective(trial: optuna.Trial) -> float:
        changed = params.override(block, {knob: suggest(trial, knob, values) for knob, values in space.items()}, "tune")
        epochs = min(tune.epochs or changed.epochs, changed.epochs)
        run = training.start(f"tune/{name}-{trial.number}", changed, seed, prepared, epochs, search=tune.model_dump())

        history: list[tuple[int, float]] = []

        def report(epoch: int, roc_auc: float) -> None:
            history.append((epoch, roc_auc))
            trial.report(roc_auc, epoch)
            if epoch < epochs and trial.should_prune():
                raise optuna.TrialPruned

        done = run.checkpoint.result()
        print(f"trial {trial.number} of {name}: {trial.params}{' (done before)' if done else ''}")
        if done:  # by a search that was killed: told to Optuna as it was, so that what follows is the same
            for epoch, roc_auc in done["history"]:
                report(epoch, roc_auc)
        else:
            done = {"history": history, "roc_auc": None}
            try:
                model, _ = training.fit(build, run, lambda row: report(row["epoch"], row["val_roc_auc"]))
                done["roc_auc"] = scoring.roc_auc(model, prepared.validation)
            except (optuna.TrialPruned, training.DivergedError):
                pass
            run.checkpoint.finish(done)
        if done["roc_auc"] is None:
            raise optuna.TrialPruned
        return done["roc_auc"]

    study = optuna.create_study(
        study_name=name,  # the hyperband pruner draws from it
        direction="maximize",
        sampler=SAMPLERS[tune.sampler](tune, space, seed),
        pruner=PRUNERS[tune.pruner](),
    )
    if tune.sampler == "tpe":
        study.enqueue_trial({knob: nearest(values, getattr(block, knob)) for knob, values in space.items()})
    study.optimize(objective, n_trials=tune.trials if tune.sampler == "tpe" else None)  # a grid ends by itself
    return study


def suggest(trial: optuna.Trial, knob: str, values: params.Range | list):
    """A value for the knob from its part of the space."""
    if isinstance(values, list):
        return trial.suggest_categorical(knob, values)
    kind = trial.suggest_int if isinstance(values.low, int) and isinstance(values.high, int) else trial.suggest_float
    return kind(knob, values.low, values.high, log=values.log)


def nearest(values: params.Range | list, own):
    """The block's `own` value, or what the space has instead: the end of a range, the first of a list."""
    if isinstance(values, list):
        return own if own in values else values[0]
    return min(max(own, values.low), values.high)


def write_trials(studies: dict[str, optuna.Study]) -> None:
    """A row a trial: model, number, state, epochs run, validation ROC-AUC (a pruned one's: its last epoch's, of single
    images; empty where no epoch was finished), and the knobs."""
    knobs = sorted({knob for study in studies.values() for trial in study.trials for knob in trial.params})
    rows = []
    for name, study in studies.items():
        for trial in study.trials:
            score = "" if trial.value is None else f"{trial.value:.6f}"
            row = [name, trial.number, trial.state.name.lower(), epochs_run(trial), score]
            rows.append(row + [_shown(trial.params.get(knob, "")) for knob in knobs])
    files.write_csv("metrics/trials.csv", ["model", "trial", "state", "epochs_run", "validation_roc_auc", *knobs], rows)


def epochs_run(trial: optuna.trial.FrozenTrial) -> int:
    return max(trial.intermediate_values, default=0)


def _shown(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def history(studies: dict[str, optuna.Study]) -> plt.Figure:
    """Validation ROC-AUC of each trial, and the best so far."""
    figure, axis = plt.subplots(figsize=(7, 4))
    for name, study in studies.items():
        done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        numbers, values = [trial.number for trial in done], [trial.value for trial in done]
        points = axis.plot(numbers, values, "o", label=name)[0]
        best = [max(values[: count + 1]) for count in range(len(values))]
        axis.step(numbers, best, where="post", color=points.get_color())
    axis.set(title="tuning: complete trials and the best so far", xlabel="trial", ylabel="validation ROC-AUC")
    axis.legend()
    return figure


def importance(study: optuna.Study, name: str, seed: int) -> plt.Figure:
    """Share of the trials' variance that each knob explains (fANOVA); empty where trials do not differ."""
    try:
        shares = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    except (RuntimeError, ValueError):  # fewer than two complete trials
        shares = {}
    figure, axis = plt.subplots(figsize=(7, 1.2 + 0.5 * max(1, len(shares))))
    axis.barh(list(shares)[::-1], list(shares.values())[::-1], color="tab:blue")
    axis.set(title=f"tuning of {name}: importance of each knob", xlabel="share of variance (fANOVA)", xlim=(0, 1))
    return figure


if __name__ == "__main__":
    errors.run(main)
