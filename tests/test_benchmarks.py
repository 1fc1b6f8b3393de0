"""`bench` runs to its end and leaves nothing behind; wrong options of every benchmark are refused."""

import json
import sys
from pathlib import Path

import project
import pytest

pytestmark = pytest.mark.slow

STUDY_LOOP = ["--images=200", "--epochs=2", "--notebook-epochs=2", "--target=0"]


def few(params: dict) -> dict:
    params["data"]["synthetic"] |= {"train_images": 300, "test_images": 60, "duplicates": 4, "leaks": 3}
    params["scoring"]["bootstrap_replicates"] = 100
    return params


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return project.copy(tmp_path_factory.mktemp("benchmarks"), few)


def test_both_loops_are_timed_and_compared(copy, tmp_path):
    said = project.shell(copy, sys.executable, "-m", "benchmarks.bench", *STUDY_LOOP, TMPDIR=str(tmp_path)).stdout
    record = json.loads((copy / "benchmarks/last.json").read_text())
    ours, notebook, ratio = record["ours"], record["notebook"], record["ratio"]
    assert ratio["images_per_second"] == pytest.approx(
        ours["images_per_second"] / notebook["images_per_second"], abs=0.01
    )
    assert ratio["seconds_to_target"] == pytest.approx(
        notebook["seconds_to_target"] / ours["seconds_to_target"], abs=0.01
    )
    for way in (ours, notebook):
        used = way["images_per_second"] * record["limit"]["training_gflop_per_image"]
        assert way["share_of_limit"] == pytest.approx(used / record["limit"]["gflop_per_second"], abs=1e-3)
        assert len(way["validation_roc_auc"]) == 2
        assert 100 < way["peak_memory_mb"] < 4000
    assert said.startswith("| | ours | notebook | ratio |")
    assert list(tmp_path.iterdir()) == []
    assert project.shell(copy, "git", "status", "--porcelain").stdout == ""


def test_a_target_that_is_not_reached_has_no_time_and_no_ratio(copy):
    options = [option for option in STUDY_LOOP if "target" not in option]
    said = project.shell(copy, sys.executable, "-m", "benchmarks.bench", *options, "--target=1.5").stdout
    record = json.loads((copy / "benchmarks/last.json").read_text())
    assert record["ours"]["seconds_to_target"] is None
    assert record["ratio"]["seconds_to_target"] is None
    assert "not reached in 2 epochs" in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bench", "--epochs=0"], "error: --epochs, --notebook-epochs and --images allow 1 or more"),
        (["bench", "--data=none.npz"], "none.npz is no file"),
        (["cost"], "error: there are 300 training images; allowed: 400 or more"),
        (["tuning", "--images=5"], "error: --images is 5; allowed: 200 to 300"),
        (["transfer", "--data=none.npz"], "none.npz is no file"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(command, said, copy):
    module, *options = command
    done = project.shell(copy, sys.executable, "-m", f"benchmarks.{module}", *options, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("---")]
    assert said in lines[-1]
    assert "Traceback" not in done.stderr
