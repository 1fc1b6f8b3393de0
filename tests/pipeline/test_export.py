"""Models leave the repository: by a tag, and as ONNX files that hinder nobody who does not want them."""

import json
import shutil
from pathlib import Path

import project
import pytest
from project import shell


def test_git_ignores_the_onnx_file_of_any_model_and_not_the_record_of_an_export():
    ignored = (project.ROOT / "models/.gitignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in ignored if line.endswith(".onnx")] == ["/*.onnx"]
    assert "dvc.lock" not in (project.ROOT / ".gitignore").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def repository(recorded_run, tmp_path_factory) -> Path:
    """A copy of a repository whose stages are done, with a remote; nothing was exported."""
    folder = tmp_path_factory.mktemp("export")
    repository = Path(shutil.copytree(recorded_run, folder / "repository", symlinks=True))
    config = repository / ".dvc/config"
    remote = f"    remote = local\n['remote \"local\"']\n    url = {folder / 'remote'}\n"
    config.write_text(config.read_text() + remote)
    project.commit(repository, "results")
    shell(repository, "git", "tag", "--annotate", "best@v1.0.0", "--message", "first")
    return repository


@pytest.fixture(scope="module")
def pushed(repository):
    """What `dvc push` did."""
    return shell(repository, "dvc", "push")


@pytest.mark.slow
def test_what_was_never_exported_is_missing_from_no_push(pushed):
    assert "WARNING" not in pushed.stdout + pushed.stderr


@pytest.mark.slow
def test_what_was_never_exported_is_missing_from_no_pull(repository, pushed):
    done = shell(repository, "dvc", "pull")
    assert "Everything is up to date" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_a_tag_names_the_model_that_dvc_artifacts_gets(repository, pushed, tmp_path):
    shell(tmp_path, "dvc", "artifacts", "get", str(repository), "best", "--rev", "v1.0.0")
    assert (tmp_path / "best.keras").read_text() == "models/best.keras"  # all that the recorded file holds


@pytest.mark.long
def test_dvc_exports_a_model_which_then_answers_without_keras(small_run, tmp_path):
    repository = tmp_path / "repository"
    shell(tmp_path, "git", "clone", "--quiet", str(small_run[0]), str(repository))
    shutil.copytree(small_run[0] / ".dvc/cache", repository / ".dvc/cache")
    shell(repository, "dvc", "checkout")
    shell(repository, "dvc", "repro", "export/dvc.yaml:best")
    assert json.loads((repository / "metrics/onnx/best.json").read_text())["other_classes"] == 0
    shutil.move(repository / "data", tmp_path / "data")
    (repository / "models/best.keras").unlink()
    answer = shell(repository, "python", "-m", "study", "predict", "plots/eda/samples_test.png")
    assert answer.stdout.startswith("plots/eda/samples_test.png: ")
