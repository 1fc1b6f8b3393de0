"""What `make verify` calls different: the very files, and scores that are gone or far from the recorded ones."""

import importlib.util
import json
from pathlib import Path

import project
import pytest
from ruamel.yaml import YAML

SPEC = importlib.util.spec_from_file_location("verify", project.ROOT / ".ci/verify.py")
verify = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(verify)

SCORES = {"roc_auc": 0.9, "roc_auc_low": 0.88, "roc_auc_high": 0.92, "accuracy": 0.5, "log_loss": 1.25}


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


@pytest.fixture
def recorded(tmp_path, monkeypatch) -> Path:
    """A repository whose HEAD records the scores of two models."""
    folder = tmp_path / "recorded"
    (folder / "metrics/test").mkdir(parents=True)
    for name in ("cnn2", "resnet50"):
        (folder / f"metrics/test/{name}.json").write_text(json.dumps(SCORES))
    project.shell(folder, "git", "init", "--quiet")
    project.shell(folder, "git", "config", "user.name", "test")
    project.shell(folder, "git", "config", "user.email", "test@localhost")
    project.commit(folder, "results")
    monkeypatch.setattr(verify, "ROOT", folder)
    return folder


def write(folder: Path, name: str, **scores: float) -> None:
    (folder / f"metrics/test/{name}.json").write_text(json.dumps(SCORES | scores))


def test_scores_within_the_recorded_interval_pass_and_their_distances_are_said(recorded, capsys):
    write(recorded, "cnn2", roc_auc=0.885, accuracy=0.52, log_loss=1.125)
    verify.compare_metrics("HEAD", recorded)
    one, other = capsys.readouterr().out.splitlines()
    assert one == (
        "metrics/test/cnn2.json: 0.885000 (-0.015000) within [0.880000, 0.920000]; accuracy +0.0200, log loss -0.1250"
    )
    assert other == (
        "metrics/test/resnet50.json: 0.900000 (+0.000000) the same as [0.880000, 0.920000]; "
        "accuracy +0.0000, log loss +0.0000"
    )


def test_a_roc_auc_outside_whose_interval_overlaps_passes(recorded, capsys):
    write(recorded, "resnet50", roc_auc=0.93, roc_auc_low=0.919, roc_auc_high=0.94)
    verify.compare_metrics("HEAD", recorded)
    assert [" overlaps " in line for line in capsys.readouterr().out.splitlines()] == [False, True]


@pytest.mark.parametrize(
    ("low", "roc_auc", "high"),
    [pytest.param(0.86, 0.87, 0.8799, id="below"), pytest.param(0.9201, 0.93, 0.94, id="above")],
)
def test_a_roc_auc_whose_interval_is_apart_fails(recorded, capsys, low, roc_auc, high):
    write(recorded, "resnet50", roc_auc=roc_auc, roc_auc_low=low, roc_auc_high=high)
    with pytest.raises(SystemExit, match="^error: interval apart from the recorded one: resnet50$"):
        verify.compare_metrics("HEAD", recorded)
    assert [" APART FROM " in line for line in capsys.readouterr().out.splitlines()] == [False, True]


WINNER = {
    "model": "cnn2",
    "values": {"dropout": 0.1},
    "block": {"epochs": 4, "dropout": 0.1},
    "validation_roc_auc": 0.9,
}
OTHER_VALUES = {"values": {"dropout": 0.3}, "block": {"epochs": 4, "dropout": 0.3}}


@pytest.fixture
def tuned(recorded) -> Path:
    """A repository whose HEAD records a winner of the search, and how it scored."""
    (recorded / "metrics/tune.json").write_text(json.dumps({"winner": [WINNER]}))
    write(recorded, "best")
    (recorded / "params.yaml").write_text("seed: 1")
    project.commit(recorded, "tuned")
    return recorded


def test_the_recorded_winner_of_the_search_is_left(tuned):
    assert not verify.take_winner("HEAD", tuned)


@pytest.mark.parametrize(
    "other",
    [pytest.param(OTHER_VALUES, id="other values"), pytest.param({"model": "cnn3_dropout"}, id="another model")],
)
def test_another_winner_of_the_search_gives_way_to_the_recorded_one_and_is_shown(tuned, capsys, other):
    (tuned / "metrics/tune.json").write_text(json.dumps({"winner": [WINNER | other]}))
    assert verify.take_winner("HEAD", tuned)
    assert json.loads((tuned / "metrics/tune.json").read_text())["winner"] == [WINNER]
    here, recorded, score = capsys.readouterr().out.splitlines()
    assert here == "winner here: {model} {values}, validation 0.900000".format(**WINNER | other)
    assert recorded == "winner in HEAD: cnn2 {'dropout': 0.1}, validation 0.900000"
    assert score.startswith("test ROC-AUC of the winner here: 0.900000")


@pytest.mark.parametrize("path", ["params.yaml", "dvc.yaml", "stages/tune.py", "study/search/space.py"])
def test_another_winner_by_other_params_or_code_stays(tuned, path):
    (tuned / path).parent.mkdir(parents=True, exist_ok=True)
    (tuned / path).write_text("another")
    (tuned / "metrics/tune.json").write_text(json.dumps({"winner": [WINNER | OTHER_VALUES]}))
    project.commit(tuned, "another")
    assert not verify.take_winner("HEAD~1", tuned)


@pytest.mark.parametrize(
    ("another", "stages"),
    [pytest.param(False, [()], id="the same winner"), pytest.param(True, [(), ("best",)], id="another winner")],
)
def test_best_is_trained_again_where_another_winner_gave_way(recorded, monkeypatch, another, stages):
    run = []
    monkeypatch.setattr(verify, "clone", lambda folder: None)
    monkeypatch.setattr(verify, "run_stages", lambda folder, world, *only: run.append(only))
    monkeypatch.setattr(verify, "take_winner", lambda ref, folder: another)
    monkeypatch.setattr(verify, "compare_metrics", lambda ref, folder: run.append("compared"))
    verify.main("HEAD")
    assert run == [*stages, "compared"]


def test_a_model_that_is_no_longer_scored_fails(recorded):
    (recorded / "metrics/test/cnn2.json").unlink()
    with pytest.raises(SystemExit, match="^error: no longer made: cnn2$"):
        verify.compare_metrics("HEAD", recorded)
    write(recorded, "resnet50", roc_auc=0.5, roc_auc_low=0.48, roc_auc_high=0.52)
    with pytest.raises(SystemExit, match="^error: interval apart .*: resnet50; no longer made: cnn2$"):
        verify.compare_metrics("HEAD", recorded)


def test_a_commit_without_scores_fails(recorded):
    project.shell(recorded, "git", "rm", "--quiet", "-r", "metrics")
    (recorded / "file").touch()
    project.commit(recorded, "no scores")
    with pytest.raises(SystemExit, match=r"^error: HEAD records no metrics/test/\*.json$"):
        verify.compare_metrics("HEAD", recorded)


def test_without_a_repository_verify_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as ended:
        verify.main()
    assert str(ended.value).startswith(f"error: git status in {tmp_path}: fatal: not a git repository")
    assert "\n" not in str(ended.value)


def test_changes_that_are_not_committed_are_refused(recorded):
    write(recorded, "cnn2", roc_auc=0.5)
    with pytest.raises(SystemExit, match="^error: the working tree has changes that HEAD lacks"):
        verify.main()


def test_a_reference_that_is_no_commit_is_named(recorded):
    with pytest.raises(SystemExit, match="^error: none is no commit of this repository$"):
        verify.main("none")
