"""The search starts from the model's own block, whatever its space, and a killed one goes on as if it never was."""

import optuna
import pytest
from stages.lib.dataset import PREPARED

from stages import tune
from stages.lib import checkpoint, params, training


@pytest.mark.parametrize(
    ("values", "own", "first"),
    [
        ([16, 32], 32, 32),
        ([16, 32], 64, 16),
        (["adam", "sgd"], "rmsprop", "adam"),
        (params.Range(low=0.01, high=0.1, log=True), 0.02, 0.02),
        (params.Range(low=0.01, high=0.1, log=True), 0.001, 0.01),
        (params.Range(low=0.1, high=0.5, log=False), 0.9, 0.5),
        (params.Range(low=8, high=64, log=True), 16, 16),
        (params.Range(low=0.5, high=4, log=False), 1, 1.0),
    ],
)
def test_the_first_trial_is_the_blocks_own_value_or_next_to_it_and_all_stay_in_the_space(values, own, first):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({"knob": tune.nearest(values, own)})
    study.optimize(lambda trial: float(bool(tune.suggest(trial, "knob", values))), n_trials=5)
    taken = [trial.params["knob"] for trial in study.trials]
    assert taken[0] == first
    if isinstance(values, list):
        assert set(taken) <= set(values)
    else:
        assert all(values.low <= value <= values.high for value in taken)


def test_candidates_are_the_best_on_validation_or_those_named(monkeypatch, raw_params):
    monkeypatch.setattr(
        tune.files,
        "read_json",
        lambda path, kind: {"roc_auc": {"cnn2": 0.8, "resnet50": 0.9}.get(path.split("/")[-1][:-5], 0.1)},
    )
    checked = params.parse(raw_params)
    assert tune.candidates(checked.models, checked.tune.model_copy(update={"models": 2})) == ["resnet50", "cnn2"]
    assert tune.candidates(checked.models, checked.tune.model_copy(update={"models": ["cnn3_plateau"]})) == [
        "cnn3_plateau"
    ]


class Killed(BaseException):
    pass


@pytest.fixture
def search(raw_params, tmp_path, monkeypatch):
    """Search with trainings that take no time: their scores by epoch depend on the knobs alone."""
    trained = []

    def fit(build, run, on_epoch):
        trained.append(run.block.dropout)
        for epoch in range(1, 5):
            on_epoch({"epoch": epoch, "val_roc_auc": 0.9 - (run.block.dropout - 0.3) ** 2 - 0.01 / epoch})
        return run.block.dropout, []

    raw_params["tune"] |= {"trials": 8, "startup_trials": 3, "epochs": 4}
    tuned, block = params.parse(raw_params).tune, params.parse(raw_params).models["cnn2_dropout"]
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(training.files, "sha256", lambda path: "the same" if path == PREPARED else str(path))
    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(tune.scoring, "roc_auc", lambda dropout, split: 0.9 - (dropout - 0.3) ** 2)

    class Data:
        validation = None

    def run(**changes) -> list[tuple]:
        run.study = tune.search("cnn2_dropout", block, tuned.model_copy(update=changes), Data(), seed=1)
        return [(trial.state, trial.params, trial.values, trial.intermediate_values) for trial in run.study.trials]

    run.trained = trained
    return run


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_a_killed_search_goes_on_after_the_last_whole_trial(search, monkeypatch, tmp_path, pruner):
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "whole")
    expected = search(pruner=pruner)
    assert len(search.trained) == len(expected) == 8
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "killed")
    finish = checkpoint.Checkpoint.finish

    def killed(self, result):
        if len(search.trained) == 8 + 5:
            raise Killed
        finish(self, result)

    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(checkpoint.Checkpoint, "finish", killed)
        search(pruner=pruner)
    assert search(pruner=pruner) == expected
    assert len(search.trained) == 8 + 5 + 4  # the fifth trial twice


def test_another_search_takes_no_trial_of_a_killed_one(search):
    pruned = search(pruner="median")
    assert optuna.trial.TrialState.PRUNED in {state for state, *_ in pruned}
    assert {state for state, *_ in search(pruner="none")} == {optuna.trial.TrialState.COMPLETE}


def test_a_trial_that_has_run_all_its_epochs_is_not_pruned(search, monkeypatch):
    class AfterFour(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 4

    monkeypatch.setitem(tune.PRUNERS, "median", AfterFour)
    assert {state for state, *_ in search(pruner="median")} == {optuna.trial.TrialState.COMPLETE}


def test_a_fault_in_a_trial_is_not_also_shown_as_a_traceback(search, monkeypatch, capfd):
    def broken(build, run, on_epoch):
        raise tune.UserError("one line")

    monkeypatch.setattr(training, "fit", broken)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # as `main` does
    with pytest.raises(tune.UserError, match="one line"):
        search()
    assert "Traceback" not in capfd.readouterr().err


def test_the_columns_of_trials_csv_have_names_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    study = optuna.create_study()
    study.optimize(lambda trial: trial.report(0.5, 1) or trial.suggest_categorical("epochs", [30]), n_trials=1)
    tune.write_trials({"cnn2": study})
    header, row = tune.files.read_csv("metrics/trials.csv")
    assert len(set(header)) == len(header) == len(row)


def test_a_training_that_diverges_before_its_first_epoch_is_a_trial_without_a_score(search, monkeypatch, tmp_path):
    fit = training.fit

    def diverging(build, run, on_epoch):
        if run.block.dropout > 0.1:
            raise training.DivergedError("the loss of the head is not finite")
        return fit(build, run, on_epoch)

    monkeypatch.setattr(training, "fit", diverging)
    search(pruner="none")
    monkeypatch.chdir(tmp_path)
    tune.write_trials({"cnn2_dropout": search.study})
    header, *rows = tune.files.read_csv("metrics/trials.csv")
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        diverged = float(row["dropout"]) > 0.1
        assert (row["state"] == "pruned", row["epochs_run"] == "0", row["validation_roc_auc"] == "") == (diverged,) * 3
    assert {row[header.index("state")] for row in rows} == {"pruned", "complete"}


def test_a_grid_takes_each_combination_once(search):
    space = {"dropout": [0.1, 0.3], "learning_rate": [0.001, 0.01, 0.1]}
    spaces = params.Spaces(cnn=space, resnet={})
    found = search(sampler="grid", space=spaces, pruner="none", trials=1)
    assert sorted((taken["dropout"], taken["learning_rate"]) for _, taken, *_ in found) == [
        (dropout, rate) for dropout in space["dropout"] for rate in space["learning_rate"]
    ]
