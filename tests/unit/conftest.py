"""What the unit tests share. They run in one process, which is prepared as that of a stage is, with one thread."""

import copy
import gc
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import histories
import numpy as np
import pytest
import samples
from project import ROOT
from ruamel.yaml import YAML

import stages  # noqa: F401  (its import prepares the process)
from study.base import files, inputs, runtime
from study.data import arrays
from study.data.arrays import Prepared, Split
from study.display import progress
from study.models.cnn.schema import Cnn
from study.models.resnet.schema import Resnet
from study.params import load, reader
from study.params.schema import Params, override

runtime.end_imports()
runtime.use_threads(1)  # each worker of pytest-xdist has a core of its own
gc.disable()  # until all test modules are imported


def pytest_configure(config: pytest.Config) -> None:
    """Keras has NumPy convert TensorFlow's tensors in a way that NumPy means to drop."""
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation:DeprecationWarning")


def pytest_collection_finish() -> None:
    """Keep what was imported out of every later garbage collection, of which each training has one."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def plain_keras() -> Iterator[None]:
    """Give Keras its own defaults again after a test that changed them."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")


@pytest.fixture(autouse=True)
def no_stage() -> Iterator[None]:
    """No stage goes on after a test that began one, in whose place files are compared with what was read."""
    yield
    inputs._memory.read = None


@pytest.fixture(scope="session")
def committed_params() -> dict:
    return YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def raw_params(committed_params) -> dict:
    """params.yaml as committed, free to change."""
    return copy.deepcopy(committed_params)


@pytest.fixture(scope="session")
def params() -> Params:
    """params.yaml as committed, checked."""
    return load.parse(reader.read((ROOT / "params.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def cnn_block(params) -> Cnn:
    """The block of a model with dropout, cut down to three epochs of tiny batches."""
    changes = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "mirror_average": False}
    return override(params.models["cnn2_dropout"], changes, "test")


@pytest.fixture(scope="session")
def resnet_block(params) -> Resnet:
    """The block of a ResNet for images of 48 pixels."""
    changes = {"image_size": 48, "batch_size": 8, "mirror_average": False}
    return override(params.models["resnet50"], changes, "test")


@pytest.fixture
def tuned(params) -> dict:
    """The record of a search that cnn2 won with another dropout and more epochs, free to change."""
    values = {"dropout": 0.3, "epochs": 14}
    block, control = (override(params.models["cnn2"], own, "test").model_dump() for own in (values, {"epochs": 14}))
    return samples.tune("cnn2", values=values, block=block, control=control)


@pytest.fixture(scope="session")
def prepared() -> Prepared:
    """Forty tiny training images of two classes that differ in brightness, twelve for validation."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = rng.integers(0, 128, (count, 32, 32, 3)) + 127 * labels[:, None, None, None]
        return Split(images.astype(np.uint8), labels)

    return Prepared(split(40), split(12), ["dark", "light"])


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The clock of progress, which shows `now` seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def checkpoints(tmp_path, monkeypatch) -> Path:
    """A folder of the test's own in place of checkpoints/."""
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "checkpoints")
    return files.CHECKPOINTS


@pytest.fixture
def prepared_file(tmp_path, monkeypatch) -> Path:
    """A file of the test's own in place of data/prepared.npz, for what hashes it and does not read it."""
    path = tmp_path / "prepared.npz"
    path.write_bytes(b"data")
    monkeypatch.setattr(arrays, "PREPARED", path)
    return path


@pytest.fixture(scope="module")
def checkpoints_of_module(tmp_path_factory) -> Iterator[Path]:
    """A folder of the test module's own in place of checkpoints/, for its fixtures that train once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHECKPOINTS", tmp_path_factory.mktemp("checkpoints"))
        yield files.CHECKPOINTS


@pytest.fixture(scope="session")
def history(tmp_path_factory) -> Path:
    """A repository whose tags are runs, each a change of `base`; left alone."""
    return histories.build(tmp_path_factory.mktemp("history") / "repository")


@pytest.fixture
def here(history, monkeypatch) -> Path:
    """That repository as the working folder."""
    monkeypatch.chdir(history)
    return history


@pytest.fixture
def copy_of_history(history, tmp_path, monkeypatch) -> Path:
    """A copy of that repository, to be changed, as the working folder."""
    folder = Path(shutil.copytree(history, tmp_path / "copy"))
    monkeypatch.chdir(folder)
    return folder
