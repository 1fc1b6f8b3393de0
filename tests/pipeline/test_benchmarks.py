"""`bench` runs to its end and leaves nothing behind; wrong options of every benchmark are refused."""

import contextlib
import json
import re
import sys
from pathlib import Path

import project
import pytest

from benchmarks import bench, cost, coverage, loops
from study.base import runtime
from study.params import load

pytestmark = pytest.mark.slow
runtime.end_imports()  # benchmarks prepares the process as a stage does
BENCH = ["-m", "benchmarks.bench", "--images=200", "--epochs=2", "--notebook-epochs=2"]


def few(params: dict) -> dict:
    params["data"]["synthetic"] |= {"train_images": 300, "test_images": 60, "duplicates": 4, "leaks": 3}
    return params


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return project.copy(tmp_path_factory.mktemp("benchmarks") / "copy", few)


@pytest.fixture(scope="module")
def benchmark(shared, server) -> tuple[Path, dict, str]:
    """A copy in which `bench` was run with both precisions, its record, and what it printed."""

    def build(folder: Path) -> None:
        (folder / "tmp").mkdir()
        repository = project.copy(folder / "copy", few)
        command = ["python", *BENCH, "--target=0", "--bfloat16"]
        environment = server.environment | {"TMPDIR": str(folder / "tmp")}
        (folder / "printed.txt").write_text(project.shell(repository, *command, **environment).stdout)

    folder = project.once(shared / "benchmark", build)
    record = json.loads((folder / "copy/benchmarks/last.json").read_text())
    return folder, record, (folder / "printed.txt").read_text()


@pytest.mark.parametrize(
    ("name", "rate"),
    [("ours", "gflop_per_second"), ("bfloat16", "bfloat16_gflop_per_second")],
    ids=["ours", "bfloat16"],
)
def test_the_loops_are_timed_and_compared(name, rate, benchmark):
    _, record, _ = benchmark
    way, limit, notebook = record[name], record["limit"], record["notebook"]
    faster = way["images_per_second"] / notebook["images_per_second"]
    sooner = notebook["seconds_to_target"] / way["seconds_to_target"]
    assert way["ratio"]["images_per_second"] == pytest.approx(faster, abs=0.01)
    assert way["ratio"]["seconds_to_target"] == pytest.approx(sooner, abs=0.01)
    used = way["images_per_second"] * limit["training_gflop_per_image"]
    assert way["share_of_limit"] == pytest.approx(used / limit[rate], abs=1e-3)
    assert len(way["validation_roc_auc"]) == 2
    assert 100 < way["peak_memory_mb"] < 4000


def test_bench_prints_a_table(benchmark):
    _, _, printed = benchmark
    assert printed.startswith("| (times better than notebook) | ours | ours, bfloat16 | notebook |")


def test_bench_leaves_nothing_behind_but_its_record(benchmark):
    folder, _, _ = benchmark
    assert list((folder / "tmp").iterdir()) == []
    assert project.shell(folder / "copy", "git", "status", "--porcelain").stdout == ""


def test_a_target_that_is_not_reached_has_no_time_and_no_ratio(benchmark, tmp_path, monkeypatch, capsys):
    """What trains is replaced: a stopwatch that is given the scores of two epochs, and the recorded rest."""
    _, measured, _ = benchmark

    def child(folder: Path, role: str, *options: str) -> dict:
        if role != "ours":
            return measured[role] | ({"bfloat16_gflop_per_second": None} if role == "limit" else {})
        assert options == ("--target=1.5", "--epochs=2")
        watch = loops.Stopwatch(1.5)
        watch.step_seconds = [1.0, 1.0]
        for roc_auc in (0.6, 0.7):
            watch.on_epoch({"val_roc_auc": roc_auc})
        return watch.result(200)

    monkeypatch.setattr(bench, "child", child)
    monkeypatch.setattr(bench, "data", lambda folder, options: measured["data"])
    monkeypatch.setattr(bench.workspace, "ROOT", tmp_path)
    monkeypatch.setattr(bench.workspace, "workspace", lambda: contextlib.nullcontext(tmp_path))
    monkeypatch.setattr(sys, "argv", ["bench", *BENCH[2:], "--target=1.5"])
    (tmp_path / "benchmarks").mkdir()
    bench.main()
    record = json.loads((tmp_path / "benchmarks/last.json").read_text())
    assert record["ours"]["seconds_to_target"] is None
    assert record["ours"]["ratio"]["seconds_to_target"] is None
    assert "bfloat16" not in record
    assert "not reached in 2 epochs" in capsys.readouterr().out


SIMULATIONS = {
    "coverage": ("--draws=2", "| logits | classes | images | ROC-AUC |", 2 + len(coverage.SETTINGS)),
    "verdicts": ("--tables=4", "| seeds / sampling | models | rule |", 2 + 30 + 1 + 5 + 1 + 2 + 27),
}


@pytest.mark.parametrize("module", SIMULATIONS)
def test_a_simulation_prints_its_tables(module, copy):
    option, header, lines = SIMULATIONS[module]
    printed = project.shell(copy, sys.executable, "-m", f"benchmarks.{module}", option).stdout.rstrip().splitlines()
    assert printed[0].startswith(header)
    assert len(printed) == lines


@pytest.mark.parametrize(
    ("images", "fraction"),
    [pytest.param(50_000, 0.01, id="500 of many"), pytest.param(1000, 0.2, id="the committed share of few")],
)
def test_first_steps_validate_on_at_most_500_images_and_on_no_larger_share_than_committed(images, fraction):
    raw_params = project.params()
    raw_params["prepare"]["validation_fraction"] = 0.2
    cost.cut(raw_params, 160, images)
    params = load.parse(raw_params)
    assert params.prepare.validation_fraction == fraction
    for name in cost.RESNETS:
        assert (params.models[name].image_size, params.models[name].weights) == (160, None)


def test_cost_measures_the_resnets_in_the_batches_of_the_real_study():
    recipe = (project.ROOT / "Makefile").read_text(encoding="utf-8")
    set_there = dict(re.findall(r"-S models\.(\w+)\.batch_size=(\d+)", recipe))
    assert {name: str(knobs["batch_size"]) for name, knobs in cost.RESNETS.items() if knobs} == set_there


@pytest.mark.parametrize(
    ("command", "part"),
    [
        pytest.param(
            ["bench", "--epochs=0"],
            "error: --epochs, --notebook-epochs and --images allow 1 or more",
            id="bench, no epoch",
        ),
        pytest.param(["bench", "--data=none.npz"], "none.npz is no file", id="bench, no file"),
        pytest.param(["cost"], "error: there are 300 training images; allowed: 400 or more", id="cost, few images"),
        pytest.param(["tuning", "--images=5"], "error: --images is 5; allowed: 300 to 300", id="tuning, few images"),
        pytest.param(["coverage", "--draws=0"], "error: --draws is 0; allowed: 1 or more", id="coverage, no draw"),
        pytest.param(["verdicts", "--tables=3"], "error: --tables is 3; allowed: 4 or more", id="verdicts, few tables"),
        pytest.param(["transfer", "--data=none.npz"], "none.npz is no file", id="transfer, no file"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(command, part, copy):
    module, *options = command
    done = project.shell(copy, sys.executable, "-m", f"benchmarks.{module}", *options, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("---")]
    assert part in lines[-1]
    assert "Traceback" not in done.stderr
