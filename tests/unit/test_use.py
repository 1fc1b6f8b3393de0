"""`python -m study use` switches params.yaml between the studies that studies.yaml names."""

import re
import shutil
from pathlib import Path

import pytest
from project import ROOT

from study.base import files
from study.base.runtime import UserError
from study.commands import use
from study.params import load


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name in (load.FILE, use.STUDIES):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_committed_params_are_those_of_the_first_study(folder, capsys):
    use.main(None, None, False)
    assert capsys.readouterr().out == "params.yaml has the values of synthetic\n"


@pytest.mark.parametrize("study", ["synthetic", "cifar10", "imagenet"])
def test_each_study_is_valid_and_the_way_back_restores_every_byte(folder, capsys, study):
    before = Path(load.FILE).read_bytes()
    use.main(study, None, False)
    load.parse(load.read_yaml(load.FILE))
    use.main(None, None, False)
    assert capsys.readouterr().out.endswith(f"params.yaml has the values of {study}\n")
    use.main("synthetic", None, False)
    assert Path(load.FILE).read_bytes() == before


def test_no_two_studies_mix(folder):
    archive = folder / "own.npz"
    archive.write_bytes(b"images")
    use.main("imagenet", str(archive), True)
    use.main("cifar10", None, False)
    params = Path(load.FILE).read_bytes()
    shutil.copy(ROOT / load.FILE, folder)
    use.main("cifar10", None, False)
    assert Path(load.FILE).read_bytes() == params


def test_what_no_study_names_stays(folder):
    Path(load.FILE).write_text(Path(load.FILE).read_text("utf-8").replace("seed: 42", "seed: 7"), "utf-8")
    use.main("cifar10", None, False)
    assert load.read_yaml(load.FILE)["seed"] == 7


def test_a_value_of_ones_own_is_named(folder, capsys):
    use.main("cifar10", None, False)
    text = Path(load.FILE).read_text("utf-8")
    Path(load.FILE).write_text(text.replace("epochs: 12", "epochs: 20", 1), "utf-8")
    capsys.readouterr()
    use.main(None, None, False)
    assert capsys.readouterr().out.splitlines() == [
        "params.yaml has the values of cifar10 but for these:",
        "models.cnn2.epochs: 20, not 12",
    ]


def test_an_archive_of_ones_own_is_named_with_its_hash(folder):
    archive = folder / "own.npz"
    archive.write_bytes(b"images")
    use.main("cifar10", "own.npz", False)
    data = load.read_yaml(load.FILE)["data"]
    assert (data["source"], data["path"], data["sha256"]) == ("npz", "own.npz", files.sha256(archive))


def test_bfloat16_is_the_precision_of_every_model(folder):
    use.main("cifar10", None, True)
    models = load.read_yaml(load.FILE)["models"].values()
    assert {model["precision"] for model in models} == {"mixed_bfloat16"}


def test_a_model_that_was_removed_stays_removed(folder):
    text = Path(load.FILE).read_text("utf-8")
    Path(load.FILE).write_text(re.sub(r"(?s)\n  resnet101:\n.*", "\n", text), "utf-8")
    use.main("imagenet", None, False)
    assert "resnet101" not in load.read_yaml(load.FILE)["models"]


@pytest.mark.parametrize(
    "study, data, message",
    [
        pytest.param("cifar100", None, "has no study cifar100; allowed: synthetic, cifar10, imagenet", id="no study"),
        pytest.param("cifar10", "lost.npz", "lost.npz: is no file", id="no file"),
        pytest.param("cifar10", "~nobody-at-all/own.npz", "own.npz: is no file", id="no such home folder"),
        pytest.param(None, "own.npz", "need a study", id="an option without a study"),
    ],
)
def test_a_fault_changes_nothing(folder, study, data, message):
    with pytest.raises(UserError, match=message):
        use.main(study, data, False)
    assert Path(load.FILE).read_bytes() == (ROOT / load.FILE).read_bytes()


def test_a_model_that_is_no_block_is_one_line(folder):
    text = re.sub(r"(?s)\n  resnet101:\n.*", "\n  resnet101: 5\n", Path(load.FILE).read_text("utf-8"))
    Path(load.FILE).write_text(text, "utf-8")
    with pytest.raises(UserError, match="models.resnet101"):
        use.main("imagenet", None, False)


@pytest.mark.parametrize("text", ["", "studies: [a, b]\nparams: {seed: [1]}\n", "studies: [a]\n", "- a\n"])
def test_a_damaged_list_of_studies_is_one_line(folder, text):
    (folder / use.STUDIES).write_text(text, "utf-8")
    with pytest.raises(UserError, match="studies.yaml: each of its params needs one value per study"):
        use.main("a", None, False)
