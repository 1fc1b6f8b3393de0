"""What a stage was made from is compared with the disk before its outputs appear."""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from project import ROOT

from study.base import files, inputs
from study.base.runtime import UserError
from study.params.load import load


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Path:
    """The folder of a stage that has begun, and has loaded its one module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "ROOT", tmp_path)
    monkeypatch.setattr(inputs, "_memory", inputs._Memory())
    for module in ("study/loaded.py", "study/other.py"):
        files.write_text(tmp_path / module, "before = 1\n")
    loaded = ModuleType("study.loaded")
    loaded.__spec__ = ModuleSpec("study.loaded", None, origin=str(tmp_path / "study/loaded.py"))
    monkeypatch.setitem(sys.modules, "study.loaded", loaded)
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    for model in (ROOT / "stages/train").glob("*.py"):
        files.write_text(tmp_path / "stages/train" / model.name, "")
    inputs.remember_code()
    inputs.begin()
    return tmp_path


def refused(path: str) -> None:
    """Assert that an output does not appear because `path` changed, and leaves nothing behind."""
    with pytest.raises(UserError, match=f"^{path} changed while this stage ran; run `dvc repro` again$"):
        files.write_text("output.txt", "made from what was before")
    assert not list(Path().glob("output.txt*"))


CHANGES = {
    "written to": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "written to at the same size": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\r"),
    "replaced": lambda path: files.write_text(path, "other"),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_output_appears_once_a_loaded_module_has_changed(stage, change):
    change(stage / "study/loaded.py")
    refused("study/loaded.py")


READS = {
    "npz": (files.write_npz, {"x": np.zeros(3)}, files.read_npz),
    "json": (
        lambda path, **content: files.write_json(path, content),
        {"x": 1},
        lambda path: files.read_json(path, dict),
    ),
    "csv": (lambda path, **content: files.write_csv(path, list(content), [[1]]), {"x": 1}, files.read_csv),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("write", "content", "read"), READS.values(), ids=READS)
def test_no_output_appears_once_a_file_that_was_read_has_changed(stage, write, content, read, change):
    write("data/input", **content)
    read("data/input")
    change(stage / "data/input")
    refused("data/input")


PARAMS = {
    "a value that is used": lambda text: text.replace("seed: 42", "seed: 43"),
    "a value deep in a section": lambda text: text.replace("validation_fraction: 0", "validation_fraction: 1"),
    "an open bracket": lambda text: text + "[",
    "no mapping": lambda text: "none\n",
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("change", PARAMS.values(), ids=PARAMS)
def test_no_output_appears_once_a_param_that_was_loaded_has_changed(stage, change):
    load("seed", "prepare", "models.cnn2")
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert change(text) != text
    Path("params.yaml").write_text(change(text), encoding="utf-8")
    refused("params.yaml")


def test_no_output_appears_once_the_params_are_gone(stage):
    load("seed")
    Path("params.yaml").unlink()
    refused("params.yaml")


def edit_params(text: str) -> None:
    before = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(before.replace(*text.split(" -> ")), encoding="utf-8")


SAME = {
    "a module that is not loaded": lambda: Path("study/other.py").write_text("after = 2\n"),
    "a module, saved as it was": lambda: files.write_text("study/loaded.py", "before = 1\n"),
    "a new module": lambda: Path("study/new.py").write_text("after = 2\n"),
    "a section that was not loaded": lambda: edit_params("bootstrap_replicates: -> bootstrap_replicates: 1"),
    "a comment in the params": lambda: edit_params("seed: 42 -> seed: 42  # a comment"),
    "a file that was not read": lambda: Path("README.md").write_text("after"),
    "a checkpoint that was read": lambda: files.write_npz("checkpoints/cnn2/model.npz", x=np.ones(3)),
    "nothing": lambda: None,
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_an_output_appears_after_a_change_of_what_the_stage_does_not_use(stage, change):
    files.write_npz("checkpoints/cnn2/model.npz", x=np.zeros(3))
    files.read_npz("checkpoints/cnn2/model.npz")
    load("seed", "models.cnn2")
    change()
    files.write_text("output.txt", "made")
    assert Path("output.txt").exists()


def test_the_key_of_a_checkpoint_is_the_code_that_runs_and_not_the_edited_file(stage):
    before = inputs.code()
    (stage / "study/loaded.py").write_text("after = 2\n")
    assert inputs.code() == before
    assert before["study/loaded.py"] == files.sha256(stage / "study/other.py")


def test_a_checkpoint_appears_although_a_module_has_changed(stage):
    """What made it is in its key."""
    (stage / "study/loaded.py").write_text("after = 2\n")
    files.write_text("checkpoints/cnn2/model.npz", "state")
    assert Path("checkpoints/cnn2/model.npz").exists()


def test_outside_of_a_stage_nothing_is_compared(stage, monkeypatch):
    monkeypatch.setattr(inputs, "_memory", inputs._Memory())
    inputs.remember_code()
    (stage / "study/loaded.py").write_text("after = 2\n")
    files.write_text("output.txt", "made")
    assert Path("output.txt").exists()


def test_what_was_read_first_counts_where_a_file_is_read_twice(stage):
    files.write_json("data/input", {"x": 1})
    files.read_json("data/input", dict)
    files.write_text("data/other", "")
    os.utime("data/input", ns=(1, 1))
    files.read_json("data/input", dict)
    refused("data/input")


def test_a_file_that_was_read_is_the_same_from_another_folder(stage, monkeypatch):
    files.write_npz("data.npz", x=np.zeros(3))
    files.read_npz("data.npz")
    (stage / "elsewhere").mkdir()
    monkeypatch.chdir(stage / "elsewhere")
    assert inputs.changed() is None
