"""A `.keras` file has the same bytes for the same model, and one that cannot be written or read ends in one line."""

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import project
import pytest
from networks import SMALL_RESNET, saved

from study.models import keras_file
from study.runtime import UserError
from study.scoring.predict import predict

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
LIMITS = range(1, 410_000, 4099)  # bytes that a file may have; the model's has more
WRITE = f"""
import resource, signal
import stages
import keras
from study import runtime
from study.models import keras_file

def main():
    keras_file.write("models/model.keras", model)

model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(100)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in {LIMITS}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        runtime.run(main)
    except SystemExit as error:
        print(error.code)
"""


def built(block, seed: int = 1) -> keras.Model:
    """A compiled network in a fresh Keras session, so that its layers have the same names each time."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = SMALL_RESNET.build(block, (32, 32, 3), 10)
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def written(resnet_block, checkpoints_of_module, tmp_path_factory) -> tuple[keras.Model, Path]:
    """A model and its file."""
    model, path = built(resnet_block), tmp_path_factory.mktemp("written") / "a.keras"
    keras_file.write(path, model)
    return model, path


def test_the_same_model_has_the_same_bytes_at_other_addresses(written, resnet_block, tmp_path):
    first, path = written
    again = built(resnet_block)
    keras_file.write(tmp_path / "b.keras", again)
    assert first is not again
    assert (tmp_path / "b.keras").read_bytes() == path.read_bytes()


def test_a_model_that_was_read_predicts_what_it_predicted_before(written):
    model, path = written
    np.testing.assert_array_equal(predict(keras_file.read(path), IMAGES), predict(model, IMAGES))


def test_a_model_that_was_read_is_not_compiled(written):
    assert not keras_file.read(written[1]).compiled


def test_the_configuration_names_no_optimizer(written):
    assert "Adam" not in saved(written[1])[0]


def test_the_weights_hold_no_state_of_an_optimizer(written):
    _, names = saved(written[1])
    assert names
    assert not [name for name in names if "optimizer" in name]


def test_a_file_holds_no_date(written):
    with zipfile.ZipFile(written[1]) as archive:
        assert list(json.loads(archive.read("metadata.json"))) == ["keras_version"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_writing_leaves_the_file_and_nothing_else(written, checkpoints_of_module):
    _, path = written
    assert [*path.parent.rglob("*"), *checkpoints_of_module.rglob("*")] == [path]


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    """What a process says that writes a model under each of LIMITS, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("full")
    return project.shell(folder, sys.executable, "-c", WRITE, check=False, PYTHONPATH=str(project.ROOT)), folder


@pytest.mark.slow
def test_a_model_that_the_disk_cannot_hold_is_refused_in_one_line_wherever_it_becomes_full(full_disk):
    messages = full_disk[0].stdout.splitlines()
    assert messages == ["error: models/model.keras: File too large; mend that and run it again"] * len(LIMITS)


@pytest.mark.slow
def test_a_full_disk_shows_no_traceback(full_disk):
    assert full_disk[0].stderr == ""


@pytest.mark.slow
def test_a_full_disk_keeps_no_part_of_a_model(full_disk):
    assert [path for path in full_disk[1].rglob("*") if path.is_file()] == []


UNREADABLE = {"half a file": 500, "an empty file": 0}


@pytest.mark.parametrize("kept", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_model_is_refused_in_one_line(written, tmp_path, kept):
    (tmp_path / "own.keras").write_bytes(written[1].read_bytes()[:kept])
    with pytest.raises(UserError, match=r"own\.keras: cannot be loaded") as error:
        keras_file.read(tmp_path / "own.keras")
    assert "\n" not in str(error.value)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"own\.keras: is missing; `dvc repro` makes it$"):
        keras_file.read(tmp_path / "own.keras")
