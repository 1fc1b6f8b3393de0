"""`bench` runs to its end and leaves nothing behind; wrong options of every benchmark are refused."""

import json
import re
import sys
from pathlib import Path

import project
import pytest
from ruamel.yaml import YAML

from benchmarks import cost
from stages.lib import params

pytestmark = pytest.mark.slow

STUDY_LOOP = ["--images=200", "--epochs=2", "--notebook-epochs=2", "--target=0"]


def few(params: dict) -> dict:
    params["data"]["synthetic"] |= {"train_images": 300, "test_images": 60, "duplicates": 4, "leaks": 3}
    params["scoring"]["bootstrap_replicates"] = 100
    return params


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return project.copy(tmp_path_factory.mktemp("benchmarks"), few)


def test_the_loops_are_timed_and_compared(copy, tmp_path):
    command = [sys.executable, "-m", "benchmarks.bench", *STUDY_LOOP, "--bfloat16"]
    said = project.shell(copy, *command, TMPDIR=str(tmp_path)).stdout
    record = json.loads((copy / "benchmarks/last.json").read_text())
    limit, notebook = record["limit"], record["notebook"]
    for name, rate in (("ours", "gflop_per_second"), ("bfloat16", "bfloat16_gflop_per_second")):
        way, ratio = record[name], record[name]["ratio"]
        faster, sooner = (
            way["images_per_second"] / notebook["images_per_second"],
            notebook["seconds_to_target"] / way["seconds_to_target"],
        )
        assert (ratio["images_per_second"], ratio["seconds_to_target"]) == pytest.approx((faster, sooner), abs=0.01)
        used = way["images_per_second"] * limit["training_gflop_per_image"]
        assert way["share_of_limit"] == pytest.approx(used / limit[rate], abs=1e-3)
        assert len(way["validation_roc_auc"]) == 2
        assert 100 < way["peak_memory_mb"] < 4000
    assert said.startswith("| (times better than notebook) | ours | ours, bfloat16 | notebook |")
    assert list(tmp_path.iterdir()) == []
    assert project.shell(copy, "git", "status", "--porcelain").stdout == ""


def test_a_target_that_is_not_reached_has_no_time_and_no_ratio(copy):
    options = [option for option in STUDY_LOOP if "target" not in option]
    said = project.shell(copy, sys.executable, "-m", "benchmarks.bench", *options, "--target=1.5").stdout
    record = json.loads((copy / "benchmarks/last.json").read_text())
    assert record["ours"]["seconds_to_target"] is None
    assert record["ours"]["ratio"]["seconds_to_target"] is None
    assert "bfloat16" not in record
    assert "not reached in 2 epochs" in said


@pytest.mark.parametrize(("images", "fraction"), [(50_000, 0.01), (1000, 0.2)])
def test_first_steps_validate_on_at_most_500_images_and_on_no_larger_share_than_committed(images, fraction):
    content = YAML(typ="safe").load((project.ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["prepare"]["validation_fraction"] = 0.2
    cost.cut(content, 160, images)
    found = params.parse(content)
    assert found.prepare.validation_fraction == fraction
    for name in cost.RESNETS:
        assert (found.models[name].image_size, found.models[name].weights) == (160, None)


def test_cost_measures_the_resnets_in_the_batches_of_the_real_study():
    recipe = (project.ROOT / "Makefile").read_text(encoding="utf-8")
    set_there = dict(re.findall(r"-S models\.(\w+)\.batch_size=(\d+)", recipe))
    assert {name: str(knobs["batch_size"]) for name, knobs in cost.RESNETS.items() if knobs} == set_there


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
