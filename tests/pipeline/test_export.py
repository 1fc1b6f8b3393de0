"""Models leave the repository: by a tag, and as ONNX files of which git and DVC know nothing."""

import shutil

import project
import pytest
from project import shell


def test_git_ignores_the_onnx_file_of_any_model():
    shell(project.ROOT, "git", "check-ignore", "models/another.onnx")


@pytest.mark.slow
def test_a_tag_names_the_model_that_dvc_artifacts_gets(recorded_run, server, tmp_path):
    repository = shutil.copytree(recorded_run, tmp_path / "repository", symlinks=True)
    project.commit(repository, "results")
    shell(repository, "git", "tag", "--annotate", "best@v1.0.0", "--message", "first")
    get = ["dvc", "artifacts", "get", str(repository), "best", "--rev", "v1.0.0"]
    shell(tmp_path, *get, **server.environment)
    assert (tmp_path / "best.keras").read_text() == "models/best.keras"  # all that the recorded file holds


@pytest.mark.long
def test_an_exported_model_answers_without_keras(small_run, tmp_path):
    repository = shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True)
    shell(repository, "python", "-m", "study", "export")
    shutil.rmtree(repository / "data")
    (repository / "models/best.keras").unlink()
    answer = shell(repository, "python", "-m", "study", "predict", "plots/eda/samples_test.png")
    assert answer.stdout.startswith("plots/eda/samples_test.png: ")
