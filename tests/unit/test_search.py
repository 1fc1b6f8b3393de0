"""The search starts from the model's own block, whatever its space, and a killed one goes on as if it never was."""

from types import SimpleNamespace

import optuna
import pytest
from networks import TINY, Killed
from optuna.trial import TrialState
from sklearn.metrics import roc_auc_score

from study import files
from study.models import scripts
from study.models.architecture import Architecture, BlockError
from study.models.cnn.schema import Cnn
from study.params.schema import Range, Spaces, override
from study.runtime import UserError
from study.scoring.predict import predict
from study.search import space, trials
from study.training import fit
from study.training.checkpoint import Checkpoint
from study.training.fit import DivergedError

VALUES = {
    "own choice": ([16, 32], 32, 32),
    "first choice": ([16, 32], 64, 16),
    "first choice of names": (["adam", "sgd"], "rmsprop", "adam"),
    "within the range": (Range(low=0.01, high=0.1, log=True), 0.02, 0.02),
    "below the range": (Range(low=0.01, high=0.1, log=True), 0.001, 0.01),
    "above the range": (Range(low=0.1, high=0.5, log=False), 0.9, 0.5),
    "whole number": (Range(low=8, high=64, log=True), 16, 16),
    "whole number in a range of fractions": (Range(low=0.5, high=4, log=False), 1, 1.0),
}
each_value = pytest.mark.parametrize(("values", "own", "first"), VALUES.values(), ids=VALUES)


def taken(values, own) -> list:
    """The value of a param in five trials, the first of which starts from the block's own."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({"param": space.nearest_value(values, own)})
    study.optimize(lambda trial: float(bool(space.suggest(trial, "param", values))), n_trials=5)
    return [trial.params["param"] for trial in study.trials]


@each_value
def test_the_first_trial_takes_the_blocks_own_value_or_the_next_to_it(values, own, first):
    assert taken(values, own)[0] == first


@each_value
def test_no_trial_leaves_the_space(values, own, first):
    for value in taken(values, own):
        assert value in values if isinstance(values, list) else values.low <= value <= values.high


def test_a_range_between_whole_numbers_gives_whole_numbers():
    assert {type(value) for value in taken(Range(low=8, high=64, log=True), 16)} == {int}


CANDIDATES = {
    "the two best on validation": (2, ["resnet50", "cnn2"]),
    "those named": (["cnn3_plateau"], ["cnn3_plateau"]),
}


@pytest.mark.parametrize(("chosen", "expected"), CANDIDATES.values(), ids=CANDIDATES)
def test_candidates_are_the_best_on_validation_or_those_named(monkeypatch, params, chosen, expected):
    areas = {"metrics/validation/cnn2.json": 0.8, "metrics/validation/resnet50.json": 0.9}
    monkeypatch.setattr(files, "read_json", lambda path, kind: {"roc_auc": areas.get(path, 0.1)})
    assert trials.candidates(params.models, params.tune.model_copy(update={"models": chosen})) == expected


def score(dropout: float) -> float:
    return 0.9 - (dropout - 0.3) ** 2


class Search:
    """Searches with trainings that take no time: their scores by epoch depend on the params alone."""

    def __init__(self, params):
        self.trained: list[float] = []
        self.block = params.models["cnn2_dropout"]
        self.tune = params.tune

    def fit(self, architecture, run, on_epoch):
        dropout = run.block.dropout
        self.trained.append(dropout)
        for epoch in range(1, 5):
            on_epoch({"epoch": epoch, "val_roc_auc": score(dropout) - 0.01 / epoch})
        return dropout, []

    def study(self, **changes) -> optuna.Study:
        data = SimpleNamespace(validation=SimpleNamespace(labels=None, images=None))
        return trials.search("cnn2_dropout", self.block, self.tune.model_copy(update=changes), data, seed=1)

    def trials(self, **changes) -> list[tuple]:
        """State, params, value and value by epoch of each trial."""
        found = self.study(**changes).trials
        return [(trial.state, trial.params, trial.values, trial.intermediate_values) for trial in found]

    def states(self, **changes) -> set[TrialState]:
        return {trial.state for trial in self.study(**changes).trials}


@pytest.fixture
def search(params, checkpoints, prepared_file, monkeypatch) -> Search:
    tuned = params.tune.model_copy(update={"trials": 8, "startup_trials": 3, "epochs": 4})
    search = Search(params.model_copy(update={"tune": tuned}))
    monkeypatch.setattr(trials, "fit", search.fit)
    monkeypatch.setattr(trials, "predict", lambda dropout, images: dropout)
    monkeypatch.setattr(trials, "point", lambda labels, dropout: {"roc_auc": score(dropout)})
    return search


each_pruner = pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])


def kill_fifth_trial(search: Search, monkeypatch, **changes) -> None:
    """Run a search that is killed when its fifth trial is trained and not yet kept."""
    finish = Checkpoint.finish

    def killed(self, result):
        if len(search.trained) == 5:
            raise Killed
        finish(self, result)

    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(Checkpoint, "finish", killed)
        search.study(**changes)


@each_pruner
def test_a_killed_search_ends_with_the_same_trials(search, checkpoints, monkeypatch, pruner):
    kill_fifth_trial(search, monkeypatch, pruner=pruner)
    went_on = search.trials(pruner=pruner)
    monkeypatch.setattr(files, "CHECKPOINTS", checkpoints / "of another")
    assert went_on == search.trials(pruner=pruner)
    assert len(went_on) == 8


@each_pruner
def test_a_killed_search_trains_no_finished_trial_again(search, monkeypatch, pruner):
    kill_fifth_trial(search, monkeypatch, pruner=pruner)
    search.study(pruner=pruner)
    assert len(search.trained) == 5 + 4  # the fifth twice


def test_another_search_takes_no_trial_of_a_killed_one(search):
    assert TrialState.PRUNED in search.states(pruner="median")
    assert search.states(pruner="none") == {TrialState.COMPLETE}


def test_a_trial_that_has_run_all_its_epochs_is_not_pruned(search, monkeypatch):
    class AfterFour(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 4

    monkeypatch.setitem(trials.PRUNERS, "median", AfterFour)
    assert search.states(pruner="median") == {TrialState.COMPLETE}


def test_a_fault_in_a_trial_is_not_also_shown_as_a_traceback(search, monkeypatch, capfd):
    def broken(architecture, run, on_epoch):
        raise UserError("one line")

    monkeypatch.setattr(trials, "fit", broken)
    with pytest.raises(UserError, match="one line"):
        search.study()
    assert capfd.readouterr().err == ""


def test_the_first_trial_is_the_models_own_block(search):
    own = override(search.block, {"dropout": 0.15, "learning_rate": 0.003}, "test")
    search.block = own
    first = search.study(space=Spaces(cnn={"dropout": Range(low=0.1, high=0.4, log=False)}, resnet={})).trials[0]
    assert first.params == {"dropout": 0.15}


def test_a_trial_runs_for_no_more_epochs_than_its_block(search, monkeypatch):
    epochs = []
    monkeypatch.setattr(trials, "fit", lambda architecture, run, on_epoch: (epochs.append(run.epochs) or 0.1, []))
    search.study(space=Spaces(cnn={"epochs": [2, 30]}, resnet={}), epochs=4, sampler="grid")
    assert sorted(epochs) == [2, 4]


def test_a_grid_takes_each_combination_once(search):
    cnn = {"dropout": [0.1, 0.3], "learning_rate": [0.001, 0.01, 0.1]}
    found = search.trials(sampler="grid", space=Spaces(cnn=cnn, resnet={}), pruner="none", trials=1)
    assert sorted((params["dropout"], params["learning_rate"]) for _, params, *_ in found) == [
        (dropout, rate) for dropout in cnn["dropout"] for rate in cnn["learning_rate"]
    ]


def test_the_columns_of_the_table_have_names_of_their_own(tmp_path):
    study = optuna.create_study()
    study.optimize(lambda trial: trial.report(0.5, 1) or trial.suggest_categorical("epochs", [30]), n_trials=1)
    trials.write_table({"cnn2": study}, tmp_path / "trials.csv")
    header, row = files.read_csv(tmp_path / "trials.csv")
    assert len(set(header)) == len(header) == len(row)


@pytest.fixture
def diverging(search, monkeypatch, tmp_path) -> list[dict[str, str]]:
    """The table of a search of which trainings with more dropout diverge before their first epoch."""

    def fit(architecture, run, on_epoch):
        if run.block.dropout > 0.1:
            raise DivergedError("the loss of the head is not finite")
        return search.fit(architecture, run, on_epoch)

    monkeypatch.setattr(trials, "fit", fit)
    trials.write_table({"cnn2_dropout": search.study(pruner="none")}, tmp_path / "trials.csv")
    header, *rows = files.read_csv(tmp_path / "trials.csv")
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_a_training_that_diverges_is_a_trial_without_epochs_and_score(diverging):
    found = {
        (row["state"], row["epochs_run"], row["validation_roc_auc"]) for row in diverging if float(row["dropout"]) > 0.1
    }
    assert found == {("pruned", "0", "")}


def test_a_search_goes_on_after_a_training_that_diverged(diverging):
    states = {row["state"] for row in diverging if float(row["dropout"]) <= 0.1}
    assert states == {"complete"}


def test_the_time_left_is_shown_after_each_trial(search, capsys):
    search.study(pruner="none")
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert [line.split(";")[0] for line in lines] == [f"{number}/8 trials" for number in range(1, 9)]


def test_a_trial_is_scored_by_what_its_trained_model_predicts(search):
    best = max(trial.value for trial in search.study(pruner="none").trials)
    assert best == max(map(score, search.trained))


def test_the_code_of_a_model_belongs_to_the_key_of_its_trials(search, monkeypatch):
    order = []

    def started(*arguments, **options):
        order.append("start")
        raise Killed

    monkeypatch.setattr(scripts, "architecture", order.append)
    monkeypatch.setattr(trials, "start", started)
    with pytest.raises(Killed):
        search.study()
    assert order == ["cnn2_dropout", "start"]


def test_a_real_training_is_scored_on_validation(params, prepared, prepared_file, checkpoints, monkeypatch):
    monkeypatch.setattr(scripts, "architecture", lambda model: TINY)
    block = override(params.models["cnn2"], {"epochs": 1, "batch_size": 8}, "test")
    spaces = Spaces(cnn={"dropout": [0.1]}, resnet={})
    tuned = params.tune.model_copy(update={"trials": 1, "space": spaces, "epochs": 1})
    trial = trials.search("cnn2", block, tuned, prepared, seed=1).trials[0]
    run = fit.start("another", override(block, trial.params, "test"), 1, prepared)
    model, _ = fit.fit(TINY, run)
    labels, probabilities = prepared.validation.labels, predict(model, prepared.validation.images)
    assert trial.value == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))


def test_the_fault_of_a_network_names_the_trial_and_the_model(
    params, prepared, prepared_file, checkpoints, monkeypatch
):
    def unfit(*arguments):
        raise BlockError("is none.h5, which is no file", "weights")

    monkeypatch.setattr(scripts, "architecture", lambda model: Architecture(Cnn, unfit))
    tuned = params.tune.model_copy(update={"trials": 1, "epochs": 1})
    with pytest.raises(UserError, match=r"^params\.yaml: trial 0 of tune: models\.cnn2\.weights is none\.h5"):
        trials.search("cnn2", params.models["cnn2"], tuned, prepared, seed=1)
