import copy
import os
import signal
from pathlib import Path

import project
import pytest
from project import ROOT
from ruamel.yaml import YAML

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell's background jobs ignore Ctrl-C, and so would the stages that the tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> tuple[Path, str]:
    """A repository with `project.small` params, run, committed and left alone; and what `dvc repro` said."""
    folder = project.copy(tmp_path_factory.mktemp("small"), project.small)
    said = project.shell(folder, "dvc", "repro", PYTHONHASHSEED="1", LC_ALL="C", TZ="UTC").stdout
    project.commit(folder, "results")
    return folder, said


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> tuple[Path, Path]:
    """A repository with `project.tiny` params, run and committed; and the folder where tests/audit wrote down what its
    stages opened."""
    opened = tmp_path_factory.mktemp("opened")
    folder = project.copy(tmp_path_factory.mktemp("tiny"), project.tiny)
    project.shell(folder, "dvc", "repro", AUDIT=str(opened), PYTHONPATH=str(ROOT / "tests/audit"))
    project.commit(folder, "results")
    return folder, opened


@pytest.fixture
def raw_params() -> dict:
    """params.yaml as committed, free to change."""
    return copy.deepcopy(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def as_run(monkeypatch, tmp_path):
    """Make a `training.Run` of a block and data, with its checkpoint in a folder of the test's own."""
    from stages.lib import checkpoint, training

    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "checkpoints")

    def make(block, prepared, seed: int = 0, **inputs) -> training.Run:
        kept = checkpoint.Checkpoint("test", block=block.model_dump(), seed=seed, **inputs)
        return training.Run(block, prepared, seed, block.epochs, kept)

    return make


@pytest.fixture
def prepared():
    """Forty tiny training images of two classes that differ in brightness, twelve for validation."""
    import numpy as np

    from stages.lib.dataset import Prepared, Split

    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = rng.integers(0, 128, (count, 32, 32, 3)) + 127 * labels[:, None, None, None]
        return Split(images.astype(np.uint8), labels)

    return Prepared(split(40), split(12), ["dark", "light"])
