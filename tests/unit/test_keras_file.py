"""A `.keras` file has the same bytes for the same model, and one that cannot be written or read ends in one line."""

import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import project
import pytest
from networks import SMALL_RESNET, saved

from study.base.runtime import UserError
from study.model_files import keras_file
from study.model_files.card import Card
from study.scoring.predict import predict
from study.serving.keras_model import KerasModel

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
LIMITS = range(1, 410_000, 31_013)  # bytes that a file may have; the model's has more
WRITE = f"""
import resource, signal
import stages
import keras
from study.base import runtime
from study.model_files import keras_file

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
    read = keras_file.read(path)
    assert not read.compiled
    np.testing.assert_array_equal(predict(read, IMAGES), predict(model, IMAGES))


def test_a_file_holds_no_optimizer_and_no_state_of_one(written):
    configuration, names = saved(written[1])
    assert "Adam" not in configuration
    assert names
    assert not [name for name in names if "optimizer" in name]


def test_a_file_holds_no_date(written):
    with zipfile.ZipFile(written[1]) as archive:
        assert list(json.loads(archive.read("metadata.json"))) == ["keras_version"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.slow
def test_a_model_that_the_disk_cannot_hold_is_refused_in_one_line_wherever_it_becomes_full(tmp_path):
    done = project.shell(tmp_path, sys.executable, "-c", WRITE, check=False, PYTHONPATH=str(project.ROOT))
    message = "error: models/model.keras: File too large; mend that and run it again"
    assert (done.stdout.splitlines(), done.stderr) == ([message] * len(LIMITS), "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


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


def dense(folder: Path, units: int = 2) -> Path:
    """The file of a model of one layer, written by Keras."""
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, name="one")]).save(folder / "dense.keras")
    return folder / "dense.keras"


def with_entries(path: Path, change, compression: int = zipfile.ZIP_STORED) -> Path:
    """A copy whose entries, a mapping from name to bytes, are changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path.with_name("own.keras"), "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path.with_name("own.keras")


def with_weights(change):
    """Changes the HDF5 file in the entries."""

    def changed(entries: dict[str, bytes]) -> None:
        content = io.BytesIO(entries["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            group = file["layers/one/vars"] if "layers/one/vars" in file else file["layers/dense/vars"]
            del group["0"]
            change(group)
        entries["model.weights.h5"] = content.getvalue()

    return changed


def with_units(units: int):
    """Gives the layer another number of units."""

    def changed(entries: dict[str, bytes]) -> None:
        assert b'"units": 2' in entries["config.json"]
        entries["config.json"] = entries["config.json"].replace(b'"units": 2', f'"units": {units}'.encode())

    return changed


BOMBS = {
    "a layer of 48 GB": (with_units(4 * 10**9), r"its layers have 16000000000 weights, it holds 8"),
    "weights of 40 GB that are not there": (
        with_weights(lambda group: group.create_dataset("0", (10**5, 10**5), "f4", chunks=(100, 100))),
        r"its weights claim 4\d{10} bytes, the file has \d{4}\b",
    ),
    "compressed zeros": (
        with_weights(lambda group: group.create_dataset("0", data=np.zeros(10**6, "f4"), compression="gzip")),
        r"its weights claim 4\d{6} bytes, the file has \d{5}\b",
    ),
    "weights in another file": (
        with_weights(lambda group: group.create_dataset("0", (3, 2), "f4", external="/etc/passwd")),
        "holds no plain numbers",
    ),
    "weights by a link to another file": (
        with_weights(lambda group: group.__setitem__("0", h5py.ExternalLink("other.h5", "/a"))),
        "vars/0 points elsewhere",
    ),
    "text as weights": (with_weights(lambda group: group.__setitem__("0", "text")), "holds no plain numbers"),
    "no weights": (lambda entries: entries.pop("model.weights.h5"), "it holds config.json, metadata.json; allowed"),
    "a further file": (lambda entries: entries.update({"assets/a": b""}), "it holds assets/a, config.json"),
    "no configuration of a model": (
        lambda entries: entries.update({"config.json": json.dumps({"class_name": "Dense", "config": {}}).encode()}),
        "Could not locate class 'Dense'",
    ),
    "a configuration that is nested deep": (lambda entries: entries.update({"config.json": b"[" * 10**5}), "recursion"),
}


@pytest.mark.parametrize(("change", "message"), BOMBS.values(), ids=BOMBS)
def test_a_file_that_holds_less_than_it_asks_for_is_refused(tmp_path, checkpoints, change, message):
    path = with_entries(dense(tmp_path), change)
    with pytest.raises(UserError, match=rf"own\.keras: cannot be loaded \(.*{message}"):
        keras_file.read(path)


def with_config(old: str, new: str):
    """Changes the configuration, as a later Keras would write it."""

    def changed(entries: dict[str, bytes]) -> None:
        assert old.encode() in entries["config.json"]
        entries["config.json"] = entries["config.json"].replace(old.encode(), new.encode())
        entries["metadata.json"] = b'{"keras_version": "3.99.0"}'

    return changed


UNKNOWN = {
    "an argument": (
        with_config('"units": 2', '"units": 2, "own": 3'),
        "Unrecognized keyword arguments passed to Dense",
    ),
    "a class": (
        with_config('"module": "keras.layers", "class_name": "Dense"', '"module": null, "class_name": "Own"'),
        "Could not locate class 'Own'",
    ),
    "other shapes": (with_config("[null, 3]", "[null, 2]"), "The shape of the target variable"),
}


@pytest.mark.parametrize(("change", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_keras_cannot_load_has_the_reason_of_keras_and_both_versions(tmp_path, checkpoints, change, reason):
    versions = f"written by Keras 3.99.0, here is Keras {keras.__version__}"
    with pytest.raises(UserError, match=rf"own\.keras: cannot be loaded \({reason}.*\); {versions}$"):
        keras_file.read(with_entries(dense(tmp_path), change))


def test_to_delete_a_model_is_advised_of_an_output_only(tmp_path, checkpoints, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text("stages:\n  own:\n    outs:\n    - path: own.keras\n")
    path = with_entries(dense(tmp_path), with_units(3))
    with pytest.raises(UserError, match="; delete it, then `dvc checkout` or `dvc repro` restores"):
        keras_file.read(path)
    with pytest.raises(UserError, match=r"here is Keras [\d.]+$"):
        keras_file.read(path.rename("other.keras"))


def test_a_full_disk_is_not_the_fault_of_the_model(tmp_path, checkpoints, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = dense(tmp_path)
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tempfile.gettempdir()}'"):
        keras_file.read(path)


def test_predictions_by_a_model_file_leave_nothing_in_the_working_folder(tmp_path, monkeypatch):
    path, own = tmp_path / "own.keras", Card(["a", "b"], 1.0, "pad")
    images = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Sequential([images, keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    keras_file.write(path, model, own)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert KerasModel.read(path).predict(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 2)
    assert [*Path().iterdir()] == []


def test_a_compressed_file_is_refused(tmp_path, checkpoints):
    path = with_entries(dense(tmp_path), lambda entries: None, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"json is compressed; Keras writes it as it is"):
        keras_file.read(path)


def test_a_file_of_keras_own_is_read(tmp_path, checkpoints):
    assert keras_file.read(dense(tmp_path)).output_shape == (None, 2)
