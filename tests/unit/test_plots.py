"""Plots need an extra that nothing else needs, and DVC, whose faults become one line."""

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from project import ROOT

from study.__main__ import main
from study.base.runtime import UserError
from study.commands import plots

FAULT = {"name": "plots/roc.csv", "rev": "workspace", "type": "FileNotFoundError", "msg": "no such\nfile"}
CHART = [{"type": "vega", "content": {"mark": "bar"}}]


@pytest.fixture
def answers(monkeypatch):
    """Let `dvc plots --json` answer with what the test says."""
    return lambda **answer: monkeypatch.setattr(plots, "dvc_plots", lambda *_: json.dumps(answer))


def test_without_the_extra_a_line_says_what_to_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"^vl-convert-python is not installed, which draws plots; run `make extras`$"):
        main("plots")


def test_charts_are_those_that_dvc_draws_itself(answers):
    answers(data={"a.csv": CHART, "a.png": [{"type": "image", "url": "a.png"}], "empty.csv": []})
    assert plots.specifications(None) == {"a.csv": {"mark": "bar"}}


def test_a_plot_that_dvc_cannot_read_is_noted(answers, capsys):
    answers(data={"a.csv": CHART}, errors=[FAULT])
    plots.specifications(None)
    assert capsys.readouterr().out == "note: no plot of plots/roc.csv in workspace: no such file\n"


REFUSED = {
    "no run yet": ({"errors": [FAULT]}, "no stage has written a plot; run `dvc repro` in the project"),
    "no project": ({}, "no stage has written a plot; run `dvc repro` in the project"),
    "no dvc.yaml": ({"errors": [{"rev": "workspace", "type": "E", "msg": "bad YAML"}]}, "bad YAML; mend it"),
}


@pytest.mark.parametrize(("answer", "message"), REFUSED.values(), ids=REFUSED)
def test_without_a_plot_a_line_says_why(answers, answer, message):
    answers(**answer)
    with pytest.raises(UserError, match=f"^dvc plots: {message}$"):
        plots.specifications(None)


def test_the_page_holds_its_scripts_and_names_no_other_server():
    page = plots.page_template("scripts")
    assert "\nscripts\n" in page
    assert "{plot_divs}" in page  # where DVC puts the plots
    assert "{scripts}" not in page  # where DVC would put links to scripts
    assert "//" not in page.replace("// DVC", "")


def test_the_page_is_no_part_of_a_commit():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert str(plots.FOLDER) in ignored


def test_only_images_that_the_command_wrote_are_deleted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    content = io.BytesIO()
    Image.new("L", (2, 2)).save(content, "PNG")
    png = content.getvalue()
    (plots.PNG / "plots").mkdir(parents=True)
    Path("outside").mkdir()
    for folder in (plots.PNG / "plots", Path("outside")):
        (folder / "drawn.png").write_bytes(plots.marked(png))
        (folder / "own.png").write_bytes(png)
        (folder / "notes.txt").write_text("own")
    (plots.PNG / "shared").symlink_to(tmp_path / "outside")
    (plots.PNG / "link.png").symlink_to(tmp_path / "outside/drawn.png")
    with Image.open(plots.PNG / "plots/drawn.png") as image:
        image.load()
        assert image.info == {"Software": "python -m study plots"}
    before = set(tmp_path.rglob("*"))
    plots.clear()
    assert before - set(tmp_path.rglob("*")) == {tmp_path / plots.PNG / "plots/drawn.png"}
    assert (tmp_path / "outside/drawn.png").exists()
