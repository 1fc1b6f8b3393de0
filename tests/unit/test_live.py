"""What a running training shows: a line per epoch with the time left, and metrics that are gone at its end."""

import io
import re
import shutil
import sys

import dvc.api
import pytest
import samples
from dvc.repo import Repo
from histories import commit, git
from project import ROOT

from study.display import live

ROW = {"epoch": 1, "loss": 0.5, "val_roc_auc": 0.75}


def train(clock, epochs: range, total: int, seconds: float, steps: int = 2) -> None:
    """Show a training of these epochs of so many seconds."""
    shown = live.Progress()
    shown.set_params({"epochs": total, "steps": steps})
    shown.on_train_begin()
    for epoch in epochs:
        shown.on_epoch_begin(epoch)
        for batch in range(steps):
            shown.on_train_batch_end(batch)
        clock.now += seconds
        shown.on_epoch_end(epoch, {"loss": 1.23456, "val_roc_auc": 0.5})
    shown.on_train_end()


def test_an_epoch_is_a_line_with_its_scores_and_the_time_left(clock, capsys):
    train(clock, range(3), 20, 5 / 17)
    assert capsys.readouterr().out.splitlines()[-1] == "epoch 3/20: loss 1.235, val_roc_auc 0.5; at most 5 s left"


def test_a_training_that_goes_on_estimates_from_its_own_epochs(clock, capsys):
    train(clock, range(18, 19), 20, 7)
    assert capsys.readouterr().out == "epoch 19/20: loss 1.235, val_roc_auc 0.5; at most 7 s left\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_of_the_steps(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    train(clock, range(1), 3, 1, steps=4)
    assert "epoch 1/3: " in terminal.getvalue()
    assert "0/4 [" in terminal.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, outside any repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_dvc_shows_the_metrics_of_a_running_training(folder):
    """In the columns that docs/experiments.md names. DVC looks into no folder that git ignores, and takes no dvc.yaml
    that git ignores."""
    git(folder, "init", "--quiet")
    with Repo.init(str(folder)):
        shutil.copy(ROOT / ".gitignore", folder)
        commit(folder, "first")
    row = samples.epoch()
    with live.metrics("cnn2") as log:
        log(row)
        assert git(folder, "ls-files", "--others", "--exclude-standard") == "live_metrics/cnn2/dvc.yaml"
        workspace = dvc.api.exp_show()[0]
    shown = {name: value for name, value in workspace.items() if isinstance(value, float | int)}
    assert shown == {f"cnn2.{key}": value for key, value in row.items() if key != "epoch"} | {"step": 0}
    text = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(<model>\.\w+|step)`", text.partition("## See a run while it trains")[2]))
    assert documented == {name.replace("cnn2", "<model>") for name in shown}


def test_nothing_of_the_metrics_is_left_after_a_training_that_failed(folder):
    with pytest.raises(LookupError), live.metrics("cnn2") as log:
        log(ROW)
        raise LookupError
    assert list(folder.iterdir()) == []


def test_the_next_run_of_a_model_takes_the_place_of_a_killed_one(folder):
    shown = folder / "live_metrics/cnn2"
    with live.metrics("cnn2") as log:
        log(ROW)
        left = shutil.copytree(shown, folder / "left")
    (folder / "live_metrics").mkdir()
    left.rename(shown)
    with live.metrics("cnn2") as log:
        assert [path.name for path in shown.rglob("*")] == ["lock"]
        log(ROW)
        assert len((shown / "plots/metrics/cnn2/loss.tsv").read_text().splitlines()) == 2
    assert list(folder.iterdir()) == []


def test_what_the_user_keeps_beside_the_metrics_stays(folder):
    """Also in the folder of a run, and beyond links."""
    (folder / "outside/empty").mkdir(parents=True)
    own = folder / "live_metrics/own"
    for place in (folder / "dvclive", folder / "live_metrics", own, folder / "outside"):
        (place / "plots/metrics/cnn2").mkdir(parents=True)
        for name in ("dvc.yaml", "metrics.json", "report.md", "lock", "plots/metrics/cnn2/loss.tsv"):
            (place / name).write_text("own")
        (place / "link").symlink_to(folder / "outside")
    before = set(folder.rglob("*"))
    with live.metrics("cnn2") as log:
        log(ROW)
        note = folder / "live_metrics/cnn2/notes.txt"
        note.write_text("own")
    assert set(folder.rglob("*")) == before | {note, note.parent}
    assert {path.read_text() for path in before if path.is_file()} == {"own"}
