"""What `make verify` calls different: the very files, and scores that are gone or far from the recorded ones."""

import contextlib
import importlib.util
import re
from pathlib import Path

import histories
import project
import pytest
from ruamel.yaml import YAML

from study.compare import changes, revisions
from study.compare.changes import ChangedModel

SPEC = importlib.util.spec_from_file_location("verify", project.ROOT / ".ci/verify.py")
verify = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(verify)


def run(folder: Path, figures: dict[str, str], model: str = "1") -> Path:
    """What a run leaves: dvc.lock, a directory of figures, and no model, which only DVC's cache holds."""
    for name, content in figures.items():
        (folder / "plots/eda" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "plots/eda" / name).write_text(content)
    hashes = {"eda": ("plots/eda", f"{sorted(figures.items())}.dir"), "train@cnn2": ("models/cnn2.keras", model)}
    stages = {stage: {"outs": [{"path": path, "md5": md5}]} for stage, (path, md5) in hashes.items()}
    with (folder / "dvc.lock").open("w") as lock:
        YAML(typ="safe").dump({"schema": "2.0", "stages": stages}, lock)
    return folder


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    found = [tmp_path / "one", tmp_path / "other"]
    for folder in found:
        folder.mkdir()
    return found


def test_two_runs_of_the_same_bytes_do_not_differ(folders):
    assert verify.differences(*(run(folder, {"a.png": "a", "b.png": "b"}) for folder in folders)) == []


def test_a_file_that_differs_is_named_with_its_stage(folders):
    one, other = (run(folder, {"a.png": "a"}, model) for folder, model in zip(folders, "12", strict=True))
    assert verify.differences(one, other) == [("models/cnn2.keras", "train@cnn2"), ("dvc.lock", "all")]


def test_the_files_that_differ_within_a_directory_are_named(folders):
    one = run(folders[0], {"same.png": "s", "differs.png": "1", "sub/only_in_one.png": "o"})
    other = run(folders[1], {"same.png": "s", "differs.png": "2", "only_in_other.png": "o"})
    assert verify.differences(one, other) == [
        ("plots/eda/differs.png", "eda"),
        ("plots/eda/only_in_other.png", "eda"),
        ("plots/eda/sub/only_in_one.png", "eda"),
        ("dvc.lock", "all"),
    ]


def test_a_stage_that_only_one_run_has_is_named(folders):
    one, other = (run(folder, {"a.png": "a"}) for folder in folders)
    lock = YAML(typ="safe").load((other / "dvc.lock").read_text())
    del lock["stages"]["train@cnn2"]
    with (other / "dvc.lock").open("w") as file:
        YAML(typ="safe").dump(lock, file)
    assert verify.differences(one, other) == [("models/cnn2.keras", "train@cnn2"), ("dvc.lock", "all")]


def compare(base: str, folder: Path) -> None:
    verify.compare(revisions.find(base, base)[0], folder)


def changed(name: str) -> ChangedModel:
    """A model of the workspace, against that of the commit."""
    return next(model for model in changes.between(*revisions.find("base")).models if model.name == name)


def shown(printed: str) -> dict[str, list[str]]:
    """The cells of the printed table, by model."""
    rows = [re.split(r"  +", line) for line in printed.splitlines()]
    return {row[0]: row[1:] for row in rows if row[0] in ("cnn2", "resnet50", "best")}


def test_a_run_of_the_same_bytes_passes_and_no_arithmetic_is_printed(here, capsys):
    compare("base", here)
    printed = capsys.readouterr().out
    assert {model: row[-1] for model, row in shown(printed).items()} == dict.fromkeys(histories.SKILLS, "same bytes")
    assert "processor" not in printed


def test_what_seeds_explain_passes_and_its_distance_is_printed(copy_of_history, capsys):
    histories.write(copy_of_history, histories.SKILLS | {"cnn2": 1.01})
    compare("base", copy_of_history)
    means, change, deviations, p, verdict = shown(capsys.readouterr().out)["cnn2"]
    pair = changed("cnn2").pair
    assert change == f"{pair.retrained.value:+.4f}"
    assert deviations == f"{pair.retrained.value / pair.deviation:+.1f}"
    assert p == f"{pair.retrained.p:.4f}"
    assert verdict == "like another seed"
    assert re.fullmatch(r"0\.\d{4} → 0\.\d{4}", means)


FURTHER = {"better": 1.6, "worse": 0.4}


@pytest.mark.parametrize("skill", FURTHER.values(), ids=FURTHER)
def test_what_no_seed_explains_fails(copy_of_history, capsys, skill):
    histories.write(copy_of_history, histories.SKILLS | {"cnn2": skill})
    with pytest.raises(SystemExit, match="^error: further away than seeds explain: cnn2$"):
        compare("base", copy_of_history)
    verdicts = {model: row[-1] for model, row in shown(capsys.readouterr().out).items() if len(row) > 2}
    assert verdicts == {"cnn2": "FURTHER AWAY"}


def test_a_verdict_of_worse_alone_does_not_fail(copy_of_history):
    """One table in twenty has one, although nothing changed."""
    histories.write(copy_of_history, histories.SKILLS | {"cnn2": 0.9})
    assert changed("cnn2").verdict == "worse"
    compare("base", copy_of_history)


def test_what_decides_the_arithmetic_is_printed_where_the_runs_differ(copy_of_history, capsys, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_VAR_login", "secret of Terraform")
    histories.write(copy_of_history, histories.SKILLS | {"cnn2": 1.01})
    compare("base", copy_of_history)
    printed = capsys.readouterr().out
    assert re.search(r"^base \([0-9a-f]{7}\) does not say what decided its arithmetic; here it was$", printed, re.M)
    assert re.search(r"^  processor: ", printed, re.M)
    assert "secret" not in printed
    assert re.search(r"^  environment: .*TF_ENABLE_ONEDNN_OPTS=0", printed, re.M)


def test_a_model_that_was_trained_once_cannot_fail(copy_of_history, capsys):
    histories.write(copy_of_history, histories.SKILLS | {"cnn2": 2.5}, repeats=1)
    compare("once", copy_of_history)
    assert shown(capsys.readouterr().out)["cnn2"][-1] == "unknown"


def test_a_model_that_is_no_longer_scored_fails(copy_of_history):
    models = {"cnn2": histories.PARAMS["models"]["cnn2"]}
    histories.write(copy_of_history, {"cnn2": 0.4, "best": 1.4}, params=histories.PARAMS | {"models": models})
    with pytest.raises(SystemExit, match="^error: further away .*: cnn2; no longer made: resnet50$"):
        compare("base", copy_of_history)


def test_a_commit_without_scores_fails_in_one_line(copy_of_history):
    with pytest.raises(SystemExit, match=r"^error: no_records \([0-9a-f]{7}\): has no metrics/test/\*.json; "):
        compare("no_records", copy_of_history)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository with a commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "params.yaml").write_text("seed: 1")
    histories.git(folder, "init", "--quiet")
    histories.commit(folder, "first")
    monkeypatch.setattr(verify, "ROOT", folder)
    monkeypatch.chdir(folder)
    return folder


BYTES = {"the same": [], "other": [("models/cnn2.keras", "train@cnn2")]}


@pytest.mark.parametrize("differing", BYTES.values(), ids=BYTES)
def test_without_a_reference_two_runs_have_the_same_bytes_or_their_arithmetic_is_printed(
    repository, monkeypatch, capsys, differing
):
    monkeypatch.setattr(verify, "clone", lambda folder: None)
    monkeypatch.setattr(verify, "run_stages", lambda *arguments: None)
    monkeypatch.setattr(verify, "differences", lambda one, other: differing)
    with pytest.raises(SystemExit, match="^error: 1 files differ") if differing else contextlib.nullcontext():
        verify.main()
    printed = capsys.readouterr().out
    assert ("models/cnn2.keras of stage train@cnn2 differs between the two runs\n" in printed) == bool(differing)
    assert ("\n  processor: " in printed) == bool(differing)


def test_without_a_repository_verify_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as ended:
        verify.main()
    assert str(ended.value).startswith(f"error: git status in {tmp_path}: fatal: not a git repository")
    assert "\n" not in str(ended.value)


def test_changes_that_are_not_committed_are_refused(repository):
    (repository / "params.yaml").write_text("seed: 2")
    with pytest.raises(SystemExit, match="^error: the working tree has changes that HEAD lacks"):
        verify.main()


def test_a_reference_that_is_no_commit_is_named(repository):
    with pytest.raises(SystemExit, match="^error: none: is no revision of this repository; allowed: "):
        verify.main("none")
