"""A killed training goes on as if it never was, and from the state of the same inputs only."""

import os
import platform
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from networks import PLATEAU, TINY, Killed, as_run, train

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.commands import deps
from study.params.schema import override
from study.training import arithmetic
from study.training.checkpoint import Checkpoint, Phase, Row
from study.training.run import checkpoint_of

pytestmark = pytest.mark.usefixtures("checkpoints")
BLOCKS = {
    "cosine": {},
    "plateau and early stopping": {"schedule": PLATEAU, "early_stopping_patience": 3, "epochs": 12},
    "sgd": {"optimizer": "sgd", "weight_decay": 0.01},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", BLOCKS.values(), ids=BLOCKS)
def test_a_killed_training_goes_on_and_ends_with_the_same_bits(cnn_block, prepared, changes):
    block = override(cnn_block, changes, "test")
    expected, expected_history = train(TINY, as_run(block, name="whole"), prepared)

    trained = []
    model = None
    while model is None:
        seen = []

        def kill(row, seen=seen):
            seen.append(row)
            if row["epoch"] not in trained:
                trained.append(row["epoch"])
                if len(trained) > 1:  # the row before is on disk, this one is not
                    raise Killed

        try:
            model, history = train(TINY, as_run(block), prepared, kill)
        except Killed:
            assert len(trained) < 50
    assert history == expected_history == seen
    for found, weights in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weights)
    assert len(trained) == len(history)


@dataclass
class Finished:
    """A training that came to its end."""

    folder: Path
    weights: list[np.ndarray]
    history: list[Row]


@pytest.fixture(scope="module")
def trained(cnn_block, prepared, checkpoints_of_module) -> Finished:
    model, history = train(TINY, as_run(cnn_block), prepared)
    return Finished(checkpoint_of(as_run(cnn_block)).folder, model.get_weights(), history)


@pytest.fixture
def finished(trained, checkpoints) -> Finished:
    """The training, with its checkpoint in a folder of the test's own."""
    folder = checkpoints / "test" / trained.folder.name
    shutil.copytree(trained.folder, folder)
    return replace(trained, folder=folder)


@pytest.fixture(scope="module")
def again(trained, cnn_block, prepared) -> tuple[Finished, int]:
    """The same training once more, and how many steps it took."""
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHECKPOINTS", trained.folder.parents[1])
        patch.setattr(Phase, "on_train_batch_end", lambda *arguments: steps.append(1))
        model, history = train(TINY, as_run(cnn_block), prepared)
    return replace(trained, weights=model.get_weights(), history=history), len(steps)


def test_a_finished_training_takes_no_further_step(again):
    assert again[1] == 0


def test_a_finished_training_has_the_same_history_again(again, trained):
    assert again[0].history == trained.history


def test_a_finished_training_gives_the_same_bits_again(again, trained):
    for one, same in zip(again[0].weights, trained.weights, strict=True):
        np.testing.assert_array_equal(one, same)


INPUTS = ["block", "seed", "data", "code", "packages", "python", "processor", "threads", "variables"]


def changed_checkpoint(changed: str, block, monkeypatch) -> Checkpoint:
    """The checkpoint of a run of which one thing differs from `finished`."""
    run = as_run(block)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", os.environ["TF_NUM_INTRAOP_THREADS"])  # restored at the end
    match changed:
        case "block":
            run = as_run(override(block, {"dropout": 0.3}, "test"))
        case "seed":
            run = as_run(block, seed=1)
        case "data":
            run = as_run(block, data="2")
        case "code":
            monkeypatch.setattr(inputs, "code", lambda script: {"study/training/network.py": "changed"})
        case "packages":
            monkeypatch.setattr(arithmetic, "_versions", lambda: {"keras": "0"})
        case "python":
            monkeypatch.setattr(platform, "python_version", lambda: "3.0")
        case "processor":
            monkeypatch.setattr(arithmetic, "_processor", lambda: "another")
        case "threads":
            runtime.use_threads(3)
        case "variables":
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    return checkpoint_of(run)


@pytest.mark.parametrize("changed", INPUTS)
def test_the_state_of_other_inputs_is_not_taken(finished, cnn_block, monkeypatch, changed):
    checkpoint = changed_checkpoint(changed, cnn_block, monkeypatch)
    shutil.copy(finished.folder / "model.npz", checkpoint.folder)  # as if both folders had one name
    assert Phase(checkpoint, "model").history == []


def test_the_state_is_taken_whatever_decides_no_number(finished, cnn_block, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setenv("KMP_INIT_AT_FORK", "TRUE")
    monkeypatch.setenv("HOME", "/elsewhere")
    assert Phase(checkpoint_of(as_run(cnn_block)), "model").history == finished.history


def test_the_state_of_the_same_inputs_is_taken(finished, cnn_block):
    assert Phase(checkpoint_of(as_run(cnn_block)), "model").history == finished.history


@pytest.mark.parametrize("changed", INPUTS)
def test_the_result_of_other_inputs_is_not_taken(cnn_block, monkeypatch, changed):
    finished = checkpoint_of(as_run(cnn_block))
    finished.finish({"roc_auc": 0.9})
    checkpoint = changed_checkpoint(changed, cnn_block, monkeypatch)
    shutil.copy(finished.folder / "result.json", checkpoint.folder)
    assert checkpoint.result() is None


def test_the_result_of_the_same_inputs_is_taken(cnn_block):
    checkpoint_of(as_run(cnn_block)).finish({"roc_auc": 0.9})
    assert checkpoint_of(as_run(cnn_block)).result() == {"roc_auc": 0.9}


DAMAGE = {"cut": lambda content: content[:-100], "emptied": lambda content: b"", "not an archive": lambda content: b"x"}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_is_not_taken(finished, cnn_block, damage):
    path = finished.folder / "model.npz"
    path.write_bytes(damage(path.read_bytes()))
    assert Phase(checkpoint_of(as_run(cnn_block)), "model").history == []


def test_a_damaged_result_is_not_taken(checkpoints):
    checkpoint = Checkpoint("test", seed=1)
    checkpoint.finish({"roc_auc": 0.9})
    (checkpoint.folder / "result.json").write_text("{")
    assert checkpoint.result() is None


def test_a_file_in_the_folder_of_other_inputs_is_refused_by_its_key(checkpoints):
    """Each file carries the key: no order of writing, moving or killing puts a state under other inputs."""
    one, other = Checkpoint("one", seed=1), Checkpoint("other", seed=2)
    one.write("model", weights=np.zeros(3))
    shutil.copy(one.folder / "model.npz", other.folder / "model.npz")
    assert other.read("model") is None


def test_a_state_survives_a_training_of_the_same_name_on_other_inputs(checkpoints):
    Checkpoint("test", seed=1).write("model", weights=np.zeros(3))
    Checkpoint("test", seed=2).write("model", weights=np.ones(3))
    assert Checkpoint("test", seed=1).read("model")["weights"].tolist() == [0, 0, 0]


def test_arrays_are_read_as_they_were_written(checkpoints):
    Checkpoint("test", seed=1).write("model", weights=np.arange(3), state="text")
    arrays = Checkpoint("test", seed=1).read("model")
    assert {name: array.tolist() for name, array in arrays.items()} == {"weights": [0, 1, 2], "state": "text"}


def test_a_finished_checkpoint_keeps_its_result_and_no_state(checkpoints):
    checkpoint = Checkpoint("test", seed=1)
    checkpoint.write("model", weights=np.zeros(3))
    checkpoint.finish({"roc_auc": 0.9})
    assert {path.name for path in checkpoint.folder.iterdir()} == {"lock", "result.json"}


def test_arrays_of_others_in_the_folder_of_a_run_stay(checkpoints):
    checkpoint, other = Checkpoint("test", seed=1), Checkpoint("other", seed=2)
    checkpoint.write("model", weights=np.zeros(3))
    other.write("model", weights=np.zeros(3))
    shutil.copy(other.folder / "model.npz", checkpoint.folder / "copy.npz")
    np.savez(checkpoint.folder / "own.npz", weights=np.zeros(3))
    (checkpoint.folder / "link.npz").symlink_to("model.npz")
    checkpoint.finish({"roc_auc": 0.9})
    names = {path.name for path in checkpoint.folder.iterdir()}
    assert names == {"lock", "result.json", "copy.npz", "own.npz", "link.npz"}


def test_a_finished_checkpoint_keeps_weights_that_a_killed_one_has_begun_to_keep(checkpoints):
    checkpoint = Checkpoint("test", seed=1)
    checkpoint.write("weights", **{"00000": np.ones(3)})
    checkpoint.finish({"roc_auc": 0.9}, [np.zeros(3)])
    assert checkpoint.weights()[0].tolist() == [0, 0, 0]


def test_a_checkpoint_that_was_never_written_holds_nothing(checkpoints):
    checkpoint = Checkpoint("test", seed=1)
    assert (checkpoint.read("model"), checkpoint.result()) == (None, None)


def test_a_checkpoint_is_taken_whatever_cannot_change_an_output(checkpoints):
    """As by a run without workers, of what workers finished, and by `best`, of what `tune` trained."""
    paths = inputs.code("cnn2").keys()
    assert {"study/training/checkpoint.py", "study/base/inputs.py", "study/models/cnn/build.py"} < paths
    assert [path for path in paths if path.startswith("stages/")] == ["stages/train/cnn2.py"]
    assert not any(path.startswith(("study/cluster/", "study/params/", "study/search/")) for path in paths)


def test_the_key_of_a_checkpoint_names_all_code_that_a_training_run_imports(monkeypatch):
    monkeypatch.chdir(inputs.ROOT)
    assert deps.code("study.training.task", deps.import_graph(["cnn2"])) <= inputs.code("cnn2").keys()


def test_no_checkpoint_is_taken_once_the_code_has_changed(checkpoints, monkeypatch):
    """Its key would name code that does not run."""
    monkeypatch.setattr(inputs, "changed", lambda: "study/training/network.py")
    with pytest.raises(
        UserError, match=r"^study/training/network\.py changed while this stage ran; run `dvc repro` again$"
    ):
        Checkpoint("test", seed=1)
    assert not checkpoints.exists()


def test_a_training_that_stopped_early_has_no_epoch_left(checkpoints, cnn_block, prepared):
    block = override(cnn_block, {"epochs": 30, "early_stopping_patience": 2}, "test")
    train(TINY, as_run(block), prepared)
    assert Phase(checkpoint_of(as_run(block)), "model").next_epoch(30) == 30
