"""A finalist wins only if fresh runs show that it is better, and `best` takes over these runs."""

import json
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from networks import Killed

from study.base import files, inputs
from study.data import arrays
from study.models.common import scripts
from study.params.schema import Range, Spaces, override
from study.scoring import intervals
from study.scoring.probabilities import normalised
from study.search import confirm, repeats
from study.search.confirm import Finalist
from study.search.outcome import winner
from study.training import run as training
from study.training import task
from study.training.checkpoint import Checkpoint
from study.training.run import DivergedError, checkpoint_of, seed_of

LABELS = np.arange(400) % 4
SEED, TRIALS, REPEATS = 7, 8, 3
OF_IMAGES = np.random.default_rng(0).normal(size=(400, 4))


class Model:
    """A model of two weights: its dropout, on which its skill depends, and its seed."""

    def __init__(self, dropout: float = 0.0, seed: int = 0):
        self.weights = [np.array(dropout), np.array(seed)]

    def set_weights(self, weights) -> None:
        assert weights[0] == self.weights[0], "weights of another block"
        self.weights = weights

    def predict(self) -> np.ndarray:
        dropout, seed = self.weights
        noise = np.random.default_rng(int(seed)).normal(scale=0.3, size=OF_IMAGES.shape)
        skill = 1 + 2 * float(dropout)
        return normalised(np.exp(OF_IMAGES + noise + skill * np.eye(4)[LABELS]))


class Confirmation:
    """Confirmations whose runs take no time."""

    def __init__(self, params):
        self.own = override(params.models["cnn2_dropout"], {"repeats": REPEATS, "dropout": 0.2}, "test")
        self.trained: list[tuple[float, int, int]] = []  # dropout, epochs and seed
        self.workers = None

    def train(self, run, checkpoint, on_epoch):
        """In the place of `Network.train`."""
        if run.block.dropout == 0.9:
            raise DivergedError("the loss is not finite")
        self.trained.append((run.block.dropout, run.epochs, run.seed))
        return Model(run.block.dropout, run.seed), [{"epoch": epoch + 1} for epoch in range(run.epochs)]

    def empty_model(self, run) -> Model:
        return Model(run.block.dropout)

    def finalist(self, trial: int, dropout: float, epochs: int = 10) -> Finalist:
        block, control = (override(self.own, own | {"epochs": epochs}, "test") for own in ({"dropout": dropout}, {}))
        return Finalist("cnn2_dropout", trial, {"dropout": dropout}, 0.9, block, control)

    def choice(self, *finalists: Finalist) -> confirm.Choice:
        return confirm.confirmed(finalists, SEED, TRIALS, self.workers)


@pytest.fixture
def confirmation(params, checkpoints, prepared_file, monkeypatch) -> Confirmation:
    confirmation = Confirmation(params)
    data = SimpleNamespace(validation=SimpleNamespace(labels=LABELS, images=None))
    monkeypatch.setattr(arrays, "read_prepared", lambda: data)
    monkeypatch.setattr(arrays, "prepared_digest", lambda: "1")
    monkeypatch.setattr(scripts, "architecture", lambda model: None)
    monkeypatch.setattr(task, "Network", lambda architecture, prepared: confirmation)
    monkeypatch.setattr(confirm, "predict", lambda model, images: model.predict())
    monkeypatch.setattr(inputs, "code", lambda script: {})  # hashed for each training
    return confirmation


def test_a_finalist_that_is_better_wins(confirmation):
    choice = confirmation.choice(confirmation.finalist(3, 0.5))
    row = choice.record["finalists"]["trial 3 of cnn2_dropout"]
    assert (choice.winner.trial, choice.winner.block.dropout, choice.record["state"]) == (3, 0.5, "confirmed")
    assert row["difference"] == pytest.approx(row["roc_auc"] - row["control_roc_auc"], abs=2e-6)
    assert 0 < row["low"] < row["difference"] - row["optimism"] < row["high"]
    assert choice.roc_auc == pytest.approx(row["roc_auc"], abs=1e-6)
    assert choice.record["epochs"] == 2 * REPEATS * 10


@pytest.mark.parametrize("dropout", [0.201, 0.0], ids=["no better", "worse"])
def test_the_own_block_stays_if_no_finalist_is_shown_to_be_better(confirmation, dropout):
    choice = confirmation.choice(confirmation.finalist(3, dropout))
    assert choice.record["state"] == "not shown"
    assert (choice.winner.trial, choice.winner.values) == (None, {})
    assert choice.winner.block == choice.winner.control == confirmation.finalist(3, 0.5).control
    assert choice.roc_auc == pytest.approx(choice.record["finalists"]["trial 3 of cnn2_dropout"]["control_roc_auc"])


def test_of_several_that_are_shown_the_highest_mean_wins(confirmation):
    finalists = [confirmation.finalist(number, dropout) for number, dropout in enumerate([0.5, 0.7, 0.201])]
    choice = confirmation.choice(*finalists)
    assert choice.winner.trial == 1
    assert len(choice.record["finalists"]) == 3
    assert len(confirmation.trained) == 4 * REPEATS  # the own block serves all


def test_a_finalist_of_other_epochs_has_a_control_of_as_many(confirmation):
    confirmation.choice(confirmation.finalist(0, 0.5, 10), confirmation.finalist(1, 0.6, 14))
    runs = {(dropout, epochs) for dropout, epochs, _ in confirmation.trained}
    assert runs == {(0.2, 10), (0.5, 10), (0.2, 14), (0.6, 14)}


def test_the_seeds_are_none_of_the_search_or_of_the_repeats_of_a_block():
    fresh = confirm.fresh_seed(42)
    seen = {seed_of(42, repeat) for repeat in range(100)}
    assert not seen & {seed_of(fresh, repeat) for repeat in range(100)}


def test_each_block_is_trained_from_the_same_distinct_seeds(confirmation):
    confirmation.choice(confirmation.finalist(3, 0.5))
    seeds = [[seed for dropout, _, seed in confirmation.trained if dropout == each] for each in (0.2, 0.5)]
    assert seeds[0] == seeds[1] == [SEED, seed_of(SEED, 1), seed_of(SEED, 2)]


@pytest.mark.parametrize("dropout", [0.5, 0.0], ids=["a finalist won", "the own block stays"])
def test_the_runs_of_best_and_control_are_there_already(confirmation, dropout):
    won = confirmation.choice(confirmation.finalist(3, dropout)).winner
    for block, trial in ((won.block, won.trial), (won.control, None)):
        name = winner.checkpoint(won.model, trial, block.epochs)
        for run in training.repeats("best", won.model, block, SEED, "test", name):
            dropout, seed = checkpoint_of(run).weights()
            assert (float(dropout), int(seed)) == (block.dropout, run.seed)


def test_a_confirmation_killed_in_a_run_ends_with_the_same_record(confirmation, tmp_path, monkeypatch):
    finalists = [confirmation.finalist(3, 0.5), confirmation.finalist(1, 0.4)]
    expected = confirmation.choice(*finalists).record
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "killed" / "checkpoints")
    confirmation.trained, finish = [], Checkpoint.finish

    def killed(self, *arguments):
        if len(confirmation.trained) == 5:
            raise Killed
        finish(self, *arguments)

    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(Checkpoint, "finish", killed)
        confirmation.choice(*finalists)
    assert confirmation.choice(*finalists).record == expected
    assert len(confirmation.trained) == 3 * REPEATS + 1


class Workers:
    """Workers that get tasks and give results as text, and keep them as the leader does."""

    def outcomes(self, tasks):
        for each in tasks:
            each = json.loads(json.dumps(each))
            checkpoint = task.checkpoint_of_task(each)
            task.trained(each, None, arrays.read_prepared(), checkpoint)
            yield checkpoint.result(), checkpoint.weights()


def test_workers_change_no_record(confirmation, tmp_path, monkeypatch):
    finalists = [confirmation.finalist(3, 0.5), confirmation.finalist(1, 0.4)]
    expected = confirmation.choice(*finalists).record
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "another" / "checkpoints")
    confirmation.workers = Workers()
    assert confirmation.choice(*finalists).record == expected


def test_a_finalist_that_diverges_cannot_win(confirmation):
    choice = confirmation.choice(confirmation.finalist(0, 0.9), confirmation.finalist(1, 0.5))
    assert choice.winner.trial == 1
    assert choice.record["finalists"]["trial 0 of cnn2_dropout"]["roc_auc"] is None


def test_an_own_block_that_diverges_ends_the_search(confirmation):
    confirmation.own = override(confirmation.own, {"dropout": 0.9}, "test")
    with pytest.raises(DivergedError, match="not finite"):
        confirmation.choice(confirmation.finalist(0, 0.5))


def test_if_the_best_trial_is_the_own_block_it_alone_is_trained(confirmation):
    choice = confirmation.choice(confirmation.finalist(0, 0.2))
    assert (choice.winner.trial, choice.record["state"], choice.record["finalists"]) == (None, "not shown", {})
    assert choice.roc_auc == choice.fresh.areas.mean()
    assert [dropout for dropout, _, _ in confirmation.trained] == [0.2] * REPEATS


def test_without_finalists_the_best_trial_wins_and_the_record_says_so(confirmation, params):
    tune = params.tune.model_copy(update={"finalists": 0})
    choice = confirm.choose([confirmation.finalist(3, 0.0)], tune, SEED, TRIALS)
    assert (choice.winner.trial, choice.roc_auc, choice.record["state"]) == (3, 0.9, "off")
    assert confirmation.trained == []


def test_the_time_left_is_shown_after_each_run(confirmation, capsys):
    confirmation.choice(confirmation.finalist(3, 0.5))
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert len(lines) == 2 * REPEATS
    assert lines[-1].startswith("repeat 2 of fresh trial 3 of cnn2_dropout: validation ROC-AUC ")
    assert lines[-1].endswith("about 0 s of confirm left")


class Searches:
    """Whole searches, run several times, whose runs take no time."""

    def __init__(self, confirmation, params):
        self.confirmation = confirmation
        changes = {"models": ["cnn2_dropout"], "trials": 3, "round_size": 2, "epochs": 2, "repeats": REPEATS}
        changes["space"] = Spaces(cnn={"dropout": Range(low=0.3, high=0.8, log=False)}, resnet={})
        self.params = params.model_copy(update={"tune": params.tune.model_copy(update=changes)})

    def record(self, searches: int = 3) -> dict:
        """metrics/tune.json."""
        params = self.params.model_copy(update={"tune": self.params.tune.model_copy(update={"searches": searches})})
        storage, workers = optuna.storages.InMemoryStorage(), self.confirmation.workers
        found = [repeats.search(params, number, storage, workers) for number in range(searches)]
        return repeats.record(found)


@pytest.fixture
def searches(confirmation, params, monkeypatch) -> Searches:
    monkeypatch.setattr(task, "predict", lambda model, images: model.predict())
    return Searches(confirmation, params)


def test_of_several_searches_the_first_is_that_of_one(searches):
    several, once = searches.record(3), searches.record(1)
    assert several | once == several
    assert several.keys() - once.keys() == {"searches", "sampling_variance", "images"}


def test_several_searches_differ_by_all_of_their_seeds(searches):
    rows = searches.record(3)["searches"].values()
    seeds = {seed for _, _, seed in searches.confirmation.trained}
    assert len({row["seed"] for row in rows}) == len({row["values"]["dropout"] for row in rows}) == 3
    assert len(seeds) == 3 * (1 + REPEATS)  # one for the trials, the fresh ones


def test_a_search_counts_by_its_winners_fresh_runs_less_the_optimism_and_its_images(searches):
    record = searches.record(3)
    first, (name, finalist) = record["searches"]["search 1"], next(iter(record["confirm"]["finalists"].items()))
    assert (first["trial"], name) == (record["trial"], f"trial {first['trial']} of cnn2_dropout")
    assert first["roc_auc"] == pytest.approx(finalist["roc_auc"] - finalist["optimism"], abs=2e-6)
    labels, shortfalls = map(np.array, record["images"].values())
    mean = 1 - sum(shortfalls[labels == label].mean() for label in range(4)) / 2
    areas = [row["roc_auc"] for row in record["searches"].values()]
    assert mean == pytest.approx(np.mean(areas), abs=2 * finalist["optimism"])
    assert 0 < record["sampling_variance"] < intervals.sampling(shortfalls, labels).variance


@pytest.mark.parametrize("by_workers", [False, True])
def test_searches_killed_in_a_run_end_with_the_same_record(searches, tmp_path, monkeypatch, by_workers):
    expected = searches.record(2)
    count = len(searches.confirmation.trained)
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "killed" / "checkpoints")
    searches.confirmation.trained, finish = [], Checkpoint.finish
    searches.confirmation.workers = Workers() if by_workers else None

    def killed(self, *arguments):
        if len(searches.confirmation.trained) == count - 1:  # in the second search's confirmation
            raise Killed
        finish(self, *arguments)

    with monkeypatch.context() as context, pytest.raises(Killed):
        context.setattr(Checkpoint, "finish", killed)
        searches.record(2)
    assert searches.record(2) == expected
    assert len(searches.confirmation.trained) == count + 1
