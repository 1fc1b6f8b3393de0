"""`python -m study record` keeps what a finished run found as pages, without a pixel of an image."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from project import ROOT

from study.base import times
from study.base.runtime import UserError
from study.commands import record


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A folder with the committed results, of a run that has finished."""
    for name in ("metrics", "plots", "reports", "params.yaml", "studies.yaml", "dvc.yaml", "stages", "docs"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for command in ("init --quiet", "add dvc.yaml", "-c user.name=n -c user.email=e commit --quiet --message all"):
        subprocess.run(["git", *command.split()], check=True)
    monkeypatch.setattr(record, "unfinished", list)
    return tmp_path


def journal(*entries: dict) -> None:
    times.FILE.parent.mkdir(exist_ok=True)
    times.FILE.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def ended(stage: str, seconds: float) -> dict:
    return {"stage": stage, "seconds": seconds, "cpu_seconds": 1.0, "peak_kilobytes": 2000, "machine": "a machine"}


def test_it_holds_ranking_figures_params_and_times_and_every_link_leads_to_a_file(run):
    journal({"stage": "best"}, ended("best", 90.0))
    record.main("docs/own")
    page = (run / "docs/own/README.md").read_text("utf-8")
    for part in ("| best (cnn2, tuned) |", "![learning_curves]", "has the values of synthetic", "| best | 1 | 1.5 |"):
        assert part in page
    for written in (run / "docs/own").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", written.read_text("utf-8")):
            assert (written.parent / link).is_file(), f"{written}: {link}"


def test_it_holds_no_picture_of_an_image_and_no_row_per_image(run):
    record.main("own")
    written = {path.relative_to("own").as_posix() for path in Path("own").rglob("*") if path.is_file()}
    assert not [path for path in written if re.search("eda/|predictions|images/|samples", path)]


def test_a_path_of_one_machine_becomes_a_name(run):
    text = Path("params.yaml").read_text("utf-8").replace("  path:\n", f"  path: {run}/own.npz\n", 1)
    Path("params.yaml").write_text(text, "utf-8")
    record.main("own")
    assert str(run) not in "".join(path.read_text("utf-8") for path in Path("own").rglob("*.[my]*") if path.is_file())
    assert "path: own.npz" in Path("own/params.yaml").read_text("utf-8")


def test_it_is_renewed_but_takes_the_place_of_nothing_else(run):
    record.main("own")
    record.main("own")
    Path("notes").mkdir()
    Path("notes/README.md").write_text("mine")
    with pytest.raises(UserError, match="notes: is no record"):
        record.main("notes")
    assert Path("notes/README.md").read_text() == "mine"


def test_a_run_that_has_not_finished_is_no_record(run, monkeypatch):
    monkeypatch.setattr(record, "unfinished", lambda: ["train@cnn2", "best"])
    with pytest.raises(UserError, match="train@cnn2 has yet to run"):
        record.main("own")
    assert not Path("own").exists()


@pytest.mark.parametrize(
    "entries, starts, seconds",
    [
        pytest.param([{"stage": "best"}, ended("best", 5.0)], 1, 5.0, id="once"),
        pytest.param([{"stage": "best"}, {"stage": "best"}, ended("best", 5.0)], 2, 5.0, id="killed and continued"),
        pytest.param(
            [{"stage": "best"}, ended("best", 9.0), {"stage": "best"}, ended("best", 5.0)], 1, 5.0, id="again"
        ),
    ],
)
def test_times_are_of_the_last_run_and_count_the_starts_that_were_killed(run, entries, starts, seconds):
    journal(*entries)
    assert [(stage.starts, stage.seconds) for stage in record.stage_times()] == [(starts, seconds)]


def test_a_line_of_the_times_that_a_power_cut_has_cut_is_skipped(run):
    journal({"stage": "best"}, ended("best", 5.0))
    with times.FILE.open("a") as file:
        file.write('{"stage": "repo')
    assert [stage.stage for stage in record.stage_times()] == ["best"]


def test_what_dvc_cannot_say_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="dvc status: you are not inside of a DVC repository"):
        record.unfinished()


def test_without_times_the_page_says_so(run):
    record.main("own")
    assert "Not known" in Path("own/README.md").read_text("utf-8")
