"""The search starts from the model's own block, spends by successive halving, and is the same however it is run."""

import itertools
import json
from contextlib import nullcontext
from types import SimpleNamespace

import optuna
import pytest
from networks import TINY, Killed, as_run, train
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sklearn.metrics import roc_auc_score

from study.base import files, inputs
from study.base.runtime import UserError
from study.data import arrays
from study.models.cnn.schema import Cnn
from study.models.common import scripts
from study.models.common.architecture import Architecture, BlockError
from study.params.schema import Range, Spaces, override
from study.scoring.predict import predict
from study.search import confirm, journal, rounds, space, trials
from study.search.rounds import Contender
from study.training import task
from study.training.checkpoint import Checkpoint
from study.training.run import DivergedError

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
    study.enqueue_trial(space.nearest(SimpleNamespace(param=own), {"param": values}))
    study.optimize(lambda trial: float(bool(space.suggested(trial, {"param": values}))), n_trials=5)
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
    """Searches with trainings that take no time: their scores depend on params and epochs alone."""

    def __init__(self, params):
        self.trained: list[tuple[float, int]] = []  # dropout and epochs
        self.block = params.models["cnn2_dropout"]
        changes = {"trials": 8, "round_size": 4, "epochs": 4, "rungs": 2, "reduction_factor": 2, "finalists": 0}
        self.tune = params.tune.model_copy(update=changes)
        self.storage = lambda: None
        self.workers = None

    def train(self, run, checkpoint, on_epoch):
        """In the place of `Network.train`; the dropout stands for the model."""
        dropout = run.block.dropout
        self.trained.append((dropout, run.epochs))
        return dropout, [{"epoch": epoch + 1, "val_roc_auc": score(dropout)} for epoch in range(run.epochs)]

    def study(self, **changes) -> optuna.Study:
        tune = self.tune.model_copy(update=changes)
        return rounds.search("cnn2_dropout", self.block, tune, 1, self.storage(), self.workers)

    def table(self, **changes) -> list[dict[str, str]]:
        """The rows of metrics/trials.csv."""
        path = files.CHECKPOINTS.with_name("trials.csv")
        trials.write_table({"cnn2_dropout": self.study(**changes)}, path)
        header, *rows = files.read_csv(path)
        return [dict(zip(header, row, strict=True)) for row in rows]

    def record(self, **changes) -> tuple[str, str]:
        """The text of metrics/trials.csv and of metrics/tune.json."""
        tune = self.tune.model_copy(update=changes)
        studies = {"cnn2_dropout": self.study(**changes)}
        table, winner = (files.CHECKPOINTS.with_name(name) for name in ("trials.csv", "tune.json"))
        trials.write_table(studies, table)
        files.write_json(winner, self.outcome(studies, tune))
        return table.read_text(), winner.read_text()

    def outcome(self, studies, tune) -> dict:
        """metrics/tune.json of a search without confirmation."""
        finalists = trials.finalists(studies, {"cnn2_dropout": self.block}, tune)
        return trials.outcome(studies, confirm.unconfirmed(finalists), seed=5)


@pytest.fixture
def search(params, checkpoints, prepared_file, monkeypatch) -> Search:
    search = Search(params)
    data = SimpleNamespace(validation=SimpleNamespace(labels=None, images=None))
    monkeypatch.setattr(arrays, "read_prepared", lambda: data)
    monkeypatch.setattr(arrays, "prepared_digest", lambda: "1")
    monkeypatch.setattr(task, "Network", lambda architecture, prepared: search)
    monkeypatch.setattr(task, "predict", lambda dropout, images: dropout)
    monkeypatch.setattr(task, "point", lambda labels, dropout: {"roc_auc": score(dropout)})
    monkeypatch.setattr(inputs, "code", lambda script: {})  # hashed for each training
    return search


each_search = pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="rounds of four"),
        pytest.param({"round_size": 1, "rungs": 1}, id="one after the other, trained once"),
        pytest.param({"round_size": 3, "rungs": 3}, id="rounds of unequal size, three rungs"),
        pytest.param(
            {"sampler": "grid", "space": Spaces(cnn={"dropout": [0.1, 0.2, 0.3, 0.4, 0.5]}, resnet={})}, id="grid"
        ),
    ],
)


PLATEAU = {"name": "plateau", "patience": 2, "factor": 0.2, "minimum_learning_rate": 1e-5}


def kill(search: Search, monkeypatch, training_number: int, **changes) -> None:
    """Run a search that is killed when this training of all that were run is done and not yet kept."""
    finish = Checkpoint.finish

    def killed(self, *arguments):
        if len(search.trained) == training_number:
            raise Killed
        finish(self, *arguments)

    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(Checkpoint, "finish", killed)
        search.study(**changes)


@each_search
def test_a_search_killed_in_a_training_ends_with_the_same_record(search, tmp_path, monkeypatch, changes):
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "never killed" / "checkpoints")
    expected = search.record(**changes)
    count = len(search.trained)
    search.trained = []
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "killed" / "checkpoints")
    for killed in (1, 3 + 1, count + 2):  # in the first training, the third, and the last
        kill(search, monkeypatch, killed, **changes)
    assert search.record(**changes) == expected
    assert len(search.trained) == count + 3  # those three twice, and no other


class Backwards:
    """Workers whose last task ends first, and which get tasks and give results as text."""

    def outcomes(self, tasks):
        return reversed([(self.result(json.dumps(each)), []) for each in reversed(tasks)])

    def result(self, text):
        each = json.loads(text)
        result, _ = task.trained(each, TINY, arrays.read_prepared(), task.checkpoint_of_task(each))
        return json.loads(json.dumps(result))


@each_search
def test_workers_change_no_record_in_whatever_order_they_end(search, tmp_path, monkeypatch, changes):
    expected = search.record(**changes)
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "another" / "checkpoints")
    search.workers = Backwards()
    assert search.record(**changes) == expected


@pytest.mark.parametrize("kinds", [["a"], ["a", "b"]], ids=["one", "two"])
def test_a_search_counts_the_kinds_of_arithmetic_of_its_trainings(search, monkeypatch, kinds):
    monkeypatch.setattr(task, "kind_of_arithmetic", itertools.cycle(kinds).__next__)
    assert f'"kinds_of_arithmetic": {len(kinds)},' in search.record()[1]


def proposals(search: Search, **changes) -> list[dict]:
    return [trial.params for trial in search.study(**changes).trials]


def test_what_a_round_asks_depends_on_the_rounds_that_were_told(search, monkeypatch):
    first = proposals(search)
    monkeypatch.setattr(task, "point", lambda labels, dropout: {"roc_auc": 1 - score(dropout)})
    monkeypatch.setattr(files, "CHECKPOINTS", files.CHECKPOINTS / "another")
    second = proposals(search)
    assert first[:4] == second[:4]
    assert first[4:] != second[4:]


def test_what_a_round_asks_does_not_depend_on_how_many_rounds_follow(search):
    assert proposals(search, trials=8) == proposals(search, trials=12)[:8]


def test_all_trials_of_a_round_are_asked_before_any_is_trained(search, capsys):
    search.study()
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if ", " in line]
    order = [kind for kind, _ in itertools.groupby(lines)]
    assert order == ["round", "trial", "round", "trial"]


def test_trials_of_one_round_keep_away_from_each_other(search):
    asked = proposals(search, trials=12)
    for start in (4, 8):
        assert len({tuple(params.values()) for params in asked[start : start + 4]}) == 4


def contenders(*scores: float | None) -> list[Contender]:
    return [
        Contender(SimpleNamespace(number=number), None, [1], [{"roc_auc": score, "history": []}])
        for number, score in enumerate(scores)
    ]


PROMOTED = {
    "a third of six": ([0.1, 0.6, 0.2, 0.5, 0.3, 0.4], 3, [1, 3]),
    "a third of four, rounded up": ([0.1, 0.2, 0.3, 0.4], 3, [2, 3]),
    "one of fewer than the factor": ([0.1, 0.3], 3, [1]),
    "one of one": ([0.1], 2, [0]),
    "the lower number of two equal scores": ([0.1, 0.4, 0.4], 3, [1]),
    "the lowest numbers where all are equal": ([0.5] * 5, 2, [0, 1, 2]),
    "none that diverged": ([None, 0.1, None, None], 2, [1]),
    "nobody where all diverged": ([None, None], 2, []),
}


@pytest.mark.parametrize(("scores", "factor", "expected"), PROMOTED.values(), ids=PROMOTED)
def test_the_best_share_of_a_rung_is_promoted_in_the_order_of_numbers(scores, factor, expected):
    assert [each.trial.number for each in rounds.promoted(contenders(*scores), factor)] == expected


RUNGS = {
    "two": ({"epochs": 5, "rungs": 2, "reduction_factor": 3}, 14, [2, 5]),
    "three": ({"epochs": 9, "rungs": 3, "reduction_factor": 3}, 14, [1, 3, 9]),
    "one": ({"epochs": 5, "rungs": 1}, 14, [5]),
    "at least one epoch": ({"epochs": 3, "rungs": 2, "reduction_factor": 10}, 14, [1, 3]),
    "no more than the block's own": ({"epochs": 27, "rungs": 3, "reduction_factor": 3}, 5, [3, 5, 5]),
    "the block's own": ({"epochs": None, "rungs": 2, "reduction_factor": 2}, 10, [5, 10]),
}


@pytest.mark.parametrize(("changes", "own", "expected"), RUNGS.values(), ids=RUNGS)
def test_each_rung_trains_a_share_of_the_next(params, changes, own, expected):
    assert rounds.epochs_of_rungs(params.tune.model_copy(update=changes), own) == expected


@pytest.mark.parametrize("factor", [2, 3, 4, 10, 100])
def test_params_are_refused_exactly_if_two_rungs_have_the_same_epochs(params, factor):
    for epochs, rungs in itertools.product([*range(1, 70), 99, 100, 101, 10_000, 10_001], range(1, 8)):
        changes = {"epochs": epochs, "rungs": rungs, "reduction_factor": factor}
        differ = len(set(rounds.epochs_of_rungs(params.tune.model_copy(update=changes), epochs))) == rungs
        with nullcontext() if differ else pytest.raises(ValueError, match="the [0-9]+ rungs differ in length"):
            type(params.tune).model_validate(params.tune.model_dump() | changes)


def test_promoted_trials_are_trained_for_a_whole_rung_again(search):
    search.study(trials=4)
    assert [epochs for _, epochs in search.trained] == [2, 2, 2, 2, 4, 4]


def test_rungs_of_one_length_are_refused(search):
    search.block = override(search.block, {"epochs": 2, "schedule": PLATEAU}, "test")
    message = r"^params\.yaml: tune\.rungs is 3, of 1, 1, 2 epochs for cnn2_dropout; allowed: rungs of"
    with pytest.raises(UserError, match=message):
        search.study(epochs=None, rungs=3, space=Spaces(cnn={"dropout": [0.1]}, resnet={}))


def test_rungs_that_a_block_of_few_epochs_cuts_to_one_length_are_one_training(search):
    search.block = override(search.block, {"epochs": 2}, "test")
    rows = search.table(trials=4, space=Spaces(cnn={"dropout": [0.1, 0.2, 0.3, 0.4]}, resnet={}))
    assert [epochs for _, epochs in search.trained] == [2, 2, 2, 2]
    assert [row["epochs_run"] for row in rows] == ["2"] * 4
    assert [row["state"] for row in rows].count("complete") == 2


def test_a_trial_has_the_score_of_its_last_rung_and_the_epochs_of_all(search, monkeypatch):
    train = search.train

    def scored(run, *arguments):
        _, history = train(run, *arguments)
        return score(run.block.dropout) + run.epochs / 100, history

    monkeypatch.setattr(search, "train", scored)
    monkeypatch.setattr(task, "point", lambda labels, area: {"roc_auc": area})
    by_state = {"complete": ("1", "6", 0.04), "pruned": ("0", "2", 0.02)}
    rows = search.table()
    assert [row["state"] for row in rows].count("complete") == 4
    for row in rows:
        rung, epochs, gained = by_state[row["state"]]
        expected = score(float(row["dropout"])) + gained
        assert (row["rung"], row["epochs_run"]) == (rung, epochs)
        assert float(row["validation_roc_auc"]) == pytest.approx(expected, abs=2e-6)


def test_the_table_has_the_round_of_each_trial(search):
    assert [row["round"] for row in search.table(trials=6)] == ["0", "0", "0", "0", "1", "1"]


def test_only_a_trial_of_the_last_rung_wins(search, monkeypatch):
    """Here a longer training scores less."""

    train = search.train

    def scored(run, *arguments):
        _, history = train(run, *arguments)
        return score(run.block.dropout) - run.epochs / 2, history

    monkeypatch.setattr(search, "train", scored)
    monkeypatch.setattr(task, "point", lambda labels, area: {"roc_auc": area})
    rows = search.table()
    winner = search.outcome({"cnn2_dropout": search.study()}, search.tune)
    complete = [float(row["validation_roc_auc"]) for row in rows if row["state"] == "complete"]
    assert winner["validation_roc_auc"] == max(complete)
    assert winner["best_so_far"][-1]["validation_roc_auc"] == max(complete)
    assert winner["epochs"] == sum(int(row["epochs_run"]) for row in rows)


def test_the_control_is_the_models_own_block_for_the_epochs_of_the_winner(search):
    space = Spaces(cnn={"epochs": [14], "dropout": [0.3]}, resnet={})
    control = search.outcome({"cnn2_dropout": search.study(space=space, trials=1)}, search.tune)["control"]
    assert control == search.block.model_dump() | {"epochs": 14, "repeats": search.tune.repeats}


def test_finalists_are_the_best_complete_trials(search):
    studies = {"cnn2_dropout": search.study(space=Spaces(cnn={"dropout": [0.1, 0.2, 0.35]}, resnet={}), rungs=1)}
    tune = search.tune.model_copy(update={"finalists": 2, "repeats": 3})
    models = {"cnn2_dropout": search.block}
    finalists = trials.finalists(studies, models, tune)
    assert [each.block.dropout for each in finalists] == [0.35, 0.2]
    assert {each.block.repeats for each in finalists} == {3}
    assert len(trials.finalists(studies, models, search.tune)) == 1  # that wins without being confirmed


def test_a_search_goes_on_with_the_trainings_of_a_shorter_one(search):
    search.study(trials=4)
    search.trained = []
    search.study(trials=8)
    assert len(search.trained) == 6


def test_a_fault_in_a_trial_is_not_also_shown_as_a_traceback(search, monkeypatch, capfd):
    def broken(*arguments):
        raise UserError("one line")

    monkeypatch.setattr(search, "train", broken)
    with pytest.raises(UserError, match="one line"):
        search.study()
    assert capfd.readouterr().err == ""


def test_a_search_shows_nothing_on_stderr(search, capfd, recwarn):
    search.study()
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []


def test_the_first_trial_is_the_models_own_block(search):
    own = override(search.block, {"dropout": 0.15, "learning_rate": 0.003}, "test")
    search.block = own
    first = search.study(space=Spaces(cnn={"dropout": Range(low=0.1, high=0.4, log=False)}, resnet={})).trials[0]
    assert first.params == {"dropout": 0.15}


def test_a_grid_takes_each_combination_once_in_one_round(search):
    cnn = {"dropout": [0.1, 0.3], "learning_rate": [0.001, 0.01, 0.1]}
    rows = search.table(sampler="grid", space=Spaces(cnn=cnn, resnet={}), trials=1, round_size=1)
    assert [(float(row["dropout"]), float(row["learning_rate"])) for row in rows] == [
        (dropout, rate) for dropout in cnn["dropout"] for rate in cnn["learning_rate"]
    ]
    assert {row["round"] for row in rows} == {"0"}
    assert [row["state"] for row in rows].count("complete") == 3


SETTINGS = {
    "a list of two": ({"dropout": [0.1, 0.3]}, 2),
    "a list with one value twice": ({"dropout": [0.1, 0.3, 0.1]}, 2),
    "two lists": ({"dropout": [0.1, 0.3, 0.5], "learning_rate": [0.001, 0.01]}, 6),
    "whole numbers": ({"further_blocks": Range(low=0, high=2, log=False), "dropout": [0.3, 0.2]}, 6),
    "a list beside a range": ({"learning_rate": [0.001], "dropout": Range(low=0.1, high=0.4, log=False)}, 9),
}


@pytest.mark.parametrize(
    "changes", [{"rungs": 1}, {"rungs": 2}, {"round_size": 1}], ids=["rung", "rungs", "one by one"]
)
@pytest.mark.parametrize(("values", "count"), SETTINGS.values(), ids=SETTINGS)
def test_no_setting_is_trained_twice_and_the_search_ends_with_the_last_one(search, capsys, values, count, changes):
    search.block = override(search.block, {"further_blocks": 0}, "test")
    rows = search.table(space=Spaces(cnn=values, resnet={}), trials=9, **changes)
    assert len({tuple(row[key] for key in values) for row in rows}) == len(rows) == count
    assert (f"has {count} settings: the search of cnn2_dropout ends" in capsys.readouterr().out) == (count < 9)
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_of_a_setting_that_was_tried_the_one_with_the_fewest_other_values_is_taken():
    values = {"dropout": [0.1, 0.3], "batch_size": Range(low=8, high=10, log=True), "learning_rate": [0.1]}
    setting = {"dropout": 0.3, "batch_size": 9, "learning_rate": 0.1}
    tried = [setting, setting | {"dropout": 0.1}]
    assert space.untried(setting, values, tried) == setting | {"batch_size": 8}
    assert space.untried(setting, values, [*tried, setting | {"batch_size": 8}]) == setting | {"batch_size": 10}
    assert space.untried(setting, values, space.grid(values | {"batch_size": [8, 9, 10]})) == setting


def test_the_columns_of_the_table_have_names_of_their_own(search):
    keys = ["epochs", "dropout"]
    study = search.study(space=Spaces(cnn={key: [getattr(search.block, key)] for key in keys}, resnet={}), trials=1)
    path = files.CHECKPOINTS.with_name("trials.csv")
    trials.write_table({"cnn2": study}, path)
    header, row = files.read_csv(path)
    assert len(set(header)) == len(header) == len(row)


@pytest.fixture
def diverging(search, monkeypatch) -> list[dict[str, str]]:
    """The table of a search of which trainings with more dropout diverge before their first epoch."""

    train = search.train

    def diverged(run, *arguments):
        if run.block.dropout > 0.09:
            raise DivergedError("the loss of the head is not finite")
        return train(run, *arguments)

    monkeypatch.setattr(search, "train", diverged)
    return search.table()


def test_a_training_that_diverges_is_a_trial_without_epochs_and_score(diverging):
    found = {
        (row["state"], row["epochs_run"], row["rung"], row["validation_roc_auc"])
        for row in diverging
        if float(row["dropout"]) > 0.09
    }
    assert found == {("pruned", "0", "", "")}


def test_a_search_goes_on_after_a_training_that_diverged(diverging):
    assert {row["rung"] for row in diverging if float(row["dropout"]) <= 0.09} == {"0", "1"}


def test_a_trial_that_diverges_in_a_later_rung_keeps_its_earlier_score_and_cannot_win(search, monkeypatch):
    train = search.train

    def diverged(run, *arguments):
        model, history = train(run, *arguments)
        if run.epochs == 4:
            raise DivergedError("the loss is not finite", history)
        return model, history

    monkeypatch.setattr(search, "train", diverged)
    rows = search.table(trials=4)
    assert [(row["state"], row["rung"]) for row in rows] == [("pruned", "0")] * 4
    assert sorted(row["epochs_run"] for row in rows) == ["2", "2", "6", "6"]
    with pytest.raises(UserError, match=r"^params\.yaml: tune: no trial was trained to its end with a finite loss"):
        search.record(trials=4)


def test_the_time_left_is_shown_after_each_training(search, capsys):
    search.study()
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert len(lines) == len(search.trained)
    assert lines[-1].endswith("about 0 s of the search left")


def test_a_trial_is_scored_by_what_its_trained_model_predicts(search):
    best = max(trial.value for trial in search.study().trials)
    assert best == max(score(dropout) for dropout, _ in search.trained)


def shown(path) -> list[optuna.trial.FrozenTrial]:
    """The trials that optuna-dashboard shows."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name="cnn2_dropout", storage=storage).trials


@each_search
def test_a_search_that_is_kept_in_a_file_has_the_record_of_one_in_memory(search, tmp_path, monkeypatch, changes):
    expected = search.record(**changes)
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "another" / "checkpoints")
    search.storage = journal.begin
    assert search.record(**changes) == expected


def test_the_file_shows_what_runs_and_what_was_trained(search, checkpoints, monkeypatch):
    search.storage = journal.begin
    kill(search, monkeypatch, 6 + 3)  # the third run of the second round
    trials = shown(checkpoints / "optuna.journal")
    states = [trial.state for trial in trials]
    assert sorted(states[:4]) == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2
    assert states[4:] == [TrialState.RUNNING] * 4
    assert [list(trial.intermediate_values) for trial in trials[4:]] == [[2], [2], [], []]
    assert all(trial.params for trial in trials)


def test_each_search_begins_the_file_anew(search, checkpoints):
    search.storage = journal.begin
    expected = search.record()
    (checkpoints / "optuna.journal.lock").symlink_to(checkpoints / "optuna.journal")  # as a kill leaves it
    assert search.record() == expected
    assert len(shown(checkpoints / "optuna.journal")) == 8


def test_a_full_disk_is_a_fault_of_the_file(search, checkpoints, monkeypatch):
    def full(self, logs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    search.storage = journal.begin
    with pytest.raises(OSError, match="No space left") as error:
        search.study()
    assert error.value.filename == str(checkpoints / "optuna.journal")


def test_the_code_of_a_model_belongs_to_the_key_of_its_trials(search, monkeypatch):
    order = []

    def started(*arguments, **options):
        order.append("start")
        raise Killed

    monkeypatch.setattr(scripts, "architecture", order.append)
    monkeypatch.setattr(Checkpoint, "__init__", started)
    with pytest.raises(Killed):
        search.study()
    assert order[-2:] == ["cnn2_dropout", "start"]


def test_a_real_training_is_scored_on_validation(params, prepared, prepared_file, checkpoints, monkeypatch):
    monkeypatch.setattr(scripts, "architecture", lambda model: TINY)
    monkeypatch.setattr(arrays, "read_prepared", lambda: prepared)
    block = override(params.models["cnn2"], {"epochs": 1, "batch_size": 8}, "test")
    spaces = Spaces(cnn={"dropout": [0.1]}, resnet={})
    tuned = params.tune.model_copy(update={"trials": 1, "space": spaces, "epochs": 1, "rungs": 1})
    trial = rounds.search("cnn2", block, tuned, 1).trials[0]
    model, _ = train(TINY, as_run(override(block, trial.params, "test"), 1, "another"), prepared)
    labels, probabilities = prepared.validation.labels, predict(model, prepared.validation.images)
    assert trial.value == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))


def test_the_fault_of_a_network_names_the_trial_and_the_model(
    params, prepared, prepared_file, checkpoints, monkeypatch
):
    def unfit(*arguments):
        raise BlockError("is none.h5, which is no file", "weights")

    monkeypatch.setattr(scripts, "architecture", lambda model: Architecture(Cnn, unfit))
    monkeypatch.setattr(arrays, "read_prepared", lambda: prepared)
    tuned = params.tune.model_copy(update={"trials": 1})
    with pytest.raises(UserError, match=r"^params\.yaml: trial 0 of tune: models\.cnn2\.weights is none\.h5"):
        rounds.search("cnn2", params.models["cnn2"], tuned, 1)
