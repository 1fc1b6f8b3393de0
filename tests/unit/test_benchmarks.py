"""Benchmarks say what they can do, write a page that says how it came about, and simulate what they mean to."""

import importlib
import re
import sys

import numpy as np
import pytest
from project import ROOT

from benchmarks import bench, cost, coverage, near_duplicates, results, scaling, verdicts
from benchmarks.workspace import Usage
from study.base import machine
from study.base.runtime import UserError
from study.commands import use

MODULES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py")}
NAMES = sorted(name for name, code in MODULES.items() if "results.parser(" in code)


@pytest.fixture
def run(monkeypatch):
    """Runs a benchmark in this process with options."""

    def run(name: str, *options: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *options])
        importlib.import_module(f"benchmarks.{name}").main()

    return run


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_shows_its_question_and_its_options(name, run, capsys):
    with pytest.raises(SystemExit, match="^0$"):
        run(name, "--help")
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m benchmarks.{name} ")
    assert f"\n{name}: how " in printed
    assert f"docs/results/{name}.md" in " ".join(printed.split())


def test_a_page_holds_question_command_machine_commit_date_and_tables_and_keeps_its_notes(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(sys, "argv", ["coverage", "--data=/home/me/own.npz", "--write"])
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(machine, "description", lambda: "a processor, 2 cores")
    (tmp_path / "coverage.md").write_text("# an earlier run\n\n## Notes\n\n- The share is small.\n")
    options = results.parser("coverage", "coverage: how often?\n\nMore.", data=True).parse_args()
    with results.page(options) as page:
        page.table(["split", "share"], [["test", results.percent(0.125)]])
        page.text("One run.")
    written = (tmp_path / "coverage.md").read_text(encoding="utf-8")
    lines = written.splitlines()
    assert lines[0] == "# coverage: how often?"
    assert lines[2] == "    python -m benchmarks.coverage --data=own.npz --write"
    assert re.fullmatch(r"a processor, 2 cores; (commit \w{10}( with changes)?|no commit); \d{4}-\d\d-\d\d\.", lines[4])
    assert lines[6:11] == ["| split | share |", "| --- | --- |", "| test | 12.5 % |", "", "One run."]
    assert lines[11:] == ["", "## Notes", "", "- The share is small."]
    assert written.startswith(capsys.readouterr().out.rstrip("\n"))


@pytest.mark.parametrize(
    ("flags", "shown"),
    [("avx avx2", " with AVX2"), ("avx2 avx512f", " with AVX-512"), ("avx2 amx_tile avx512f", " with AMX"), ("", "")],
)
def test_a_machine_is_named_by_its_highest_instruction_set(flags, shown, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(f"model name\t: Some CPU\nflags\t\t: fpu {flags}\n\n" * 2)
    assert re.fullmatch(rf"Some CPU{shown}, \d+ cores", machine.description(info))


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["coverage", "--draws=0"], "^--draws is '0'; allowed: whole numbers from 1$"),
        (["verdicts", "--draws=3"], "^--draws is '3'; allowed: whole numbers from 4$"),
        (["near_duplicates", "--data=none.npz"], "^--data none.npz is no file; allowed: an .npz of x_train, "),
    ],
    ids=["no draw", "few draws", "no file"],
)
def test_a_wrong_option_is_refused_in_one_line(command, fault, run):
    with pytest.raises(UserError, match=fault):
        run(*command)


def test_coverage_shows_the_intervals_that_hold_the_true_value():
    setting = coverage.Setting("normal", [10] * 2, 1.5, coverage.normal)
    name, images, _, *shares = coverage.row(setting, 40)
    assert (name, images) == ("normal", "2 × 10")
    assert min(float(share.split(" % ")[0]) for share in shares) > 80
    assert coverage.coverage(np.array([0, 2, 0, 0]), np.array([4, 4, 0.5, 4]), 1.0) == "50.0 % (25.0 %, 25.0 %)"


def test_verdicts_show_a_large_gain_and_none_of_equal_models():
    (table,) = verdicts.simulated(1, 6, verdicts.RATIOS["0.1"])
    shown = [verdicts.verdicts(table.two_revisions(3, gain))[0].verdict for gain in (0.2, 0.0)]
    assert shown == ["better", "unclear"]
    assert np.mean([p < 0.05 for p in verdicts.p_values(table.all_pairs(3))]) < 0.3


def test_runs_that_are_lost_give_no_verdict():
    (table,) = verdicts.simulated(1, 3, verdicts.RATIOS["1.1"], lost=0.34)
    assert "unknown" in {pair.verdict for pair in verdicts.verdicts(table.all_pairs(3))}


def test_near_duplicates_are_found_among_images_without_any():
    ((images, *recalls, others, _),) = near_duplicates.rows(None, 60, 5)
    assert images == "60, drawn by code"
    assert recalls == ["100.0 %"] * 3
    assert others == "0.00"


@pytest.mark.parametrize(
    ("runs", "workers", "seconds"),
    [([1, 1, 1, 1, 1], 4, 2), ([3, 1, 1, 1], 2, 3), ([1, 1, 1, 3], 2, 4)],
    ids=["one more than workers", "a long one first", "a long one last"],
)
def test_a_worker_that_is_free_takes_the_next_run(runs, workers, seconds):
    assert scaling.makespan(runs, workers) == seconds


@pytest.mark.parametrize(
    ("round_size", "rungs", "share"),
    [(10, 1, 1), (5, 1, 1 / 2), (15, 1, 10 / 13), (100, 2, 101 / 110), (10, 2, 11 / 20)],
    ids=["as many as workers", "half as many", "half as many more", "one round of two rungs", "small second rungs"],
)
def test_workers_are_idle_if_a_rung_does_not_fill_them(round_size, rungs, share):
    assert scaling.efficiency(10, round_size, rungs, 3, spread=0.0) == pytest.approx(share)


def test_bench_takes_the_median_epoch_after_the_first_and_the_time_to_the_target():
    usage = Usage(40.0, 80.0, 1.0, 1000.0, epoch_ends=[10.0, 12.0, 14.0, 24.0])
    history = [{"val_roc_auc": score} for score in (0.5, 0.7, 0.8, 0.75)]
    ours, slower = bench.Way("ours", usage, history, 100), bench.Way("notebook", usage, history[:1] * 4, 50)
    assert bench.row(ours, slower, 0.8) == ["ours", "50", "2.00", "14.0", "–", "1,000"]
    assert bench.row(slower, slower, 0.8)[3:5] == ["not in 4 epochs", "–"]


def test_cost_measures_the_resnets_in_the_batches_of_the_real_study():
    params = use.read_studies()["imagenet"]
    assert {name: {"batch_size": params[f"models.{name}.batch_size"]} for name in cost.RESNETS} == cost.RESNETS
