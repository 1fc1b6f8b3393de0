"""tune: search better params for the models that are best on validation.

Reads data/prepared.npz, metrics/validation/*.json and the params `seed`, `threads`, `models` and `tune`; writes
metrics/tune.json (the winner and its whole block), metrics/trials.csv and, to plots/tune, figures of the search.
"""

from study import files, runtime
from study.data import arrays
from study.params.load import load
from study.params.schema import Model, Tune, override
from study.review import figures, search_figures
from study.runtime import UserError
from study.scoring.scores import Scores
from study.search import trials, winner


def main() -> None:
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    prepared = arrays.read_prepared()
    studies = {
        model: trials.search(model, params.models[model], params.tune, prepared, params.seed)
        for model in candidates(params.models, params.tune)
    }
    finished = [model for model, study in studies.items() if trials.completed(study)]
    if not finished:
        raise UserError("params.yaml: tune: no trial was completed; narrow tune.space or set tune.pruner to none")
    model = max(finished, key=lambda model: studies[model].best_value)
    study = studies[model]
    all_trials = [trial for study in studies.values() for trial in study.trials]
    block = override(params.models[model], study.best_params | {"repeats": params.tune.repeats}, "tune")
    record = {
        "model": model,
        "trials": len(all_trials),
        "epochs": sum(map(trials.epochs_run, all_trials)),
        "trial": study.best_trial.number,
        "validation_roc_auc": round(study.best_value, 6),
        "values": study.best_params,
        "block": block.model_dump(),
    }
    winner.write(record)
    trials.write_table(studies, "metrics/trials.csv")
    figures.save(search_figures.history(studies), "plots/tune/history.png")
    figures.save(search_figures.importance(study, params.seed), "plots/tune/importance.png")
    print(f"{model}: {study.best_params}, validation ROC-AUC {study.best_value:.4f}")


def candidates(models: dict[str, Model], tune: Tune) -> list[str]:
    """The models to tune: those named, or the best by validation ROC-AUC."""
    if not isinstance(tune.models, int):
        return tune.models
    score = {model: files.read_json(f"metrics/validation/{model}.json", Scores)["roc_auc"] for model in models}
    return sorted(score, key=score.get, reverse=True)[: tune.models]


if __name__ == "__main__":
    runtime.run(main)
