"""Plots need an extra that nothing else needs, and DVC, whose faults become one line."""

import itertools
import json
import re
import sys
from types import SimpleNamespace

import pytest
from project import ROOT
from ruamel.yaml import YAML

from study.__main__ import main
from study.base.runtime import UserError
from study.commands import plots

WARNING = "DVC failed to load some plots for following revisions: 'workspace'.\n"


@pytest.fixture
def answers(monkeypatch):
    """Let `dvc plots` end as the test says."""

    def answers(returncode: int, stdout: str, stderr: str) -> None:
        done = SimpleNamespace(returncode=returncode, stdout=stdout, stderr=stderr)
        monkeypatch.setattr(plots, "subprocess", SimpleNamespace(run=lambda *_, **__: done))

    return answers


def test_without_the_extra_a_line_says_what_to_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"^vl-convert-python is not installed, which draws plots; run `make extras`$"):
        main("plots")


def test_what_dvc_warns_of_is_noted(answers, capsys):
    answers(0, "file:///index.html\n", WARNING)
    plots.draw(None)
    assert capsys.readouterr().out == f"note: {WARNING}"


REFUSED = {
    "no plot": ((0, "", WARNING), "it can read no plot; run `dvc repro` in the project"),
    "a fault of its own": ((255, "", "a line\nERROR: no such template\n"), "no such template"),
    "a fault without a line": ((1, "", ""), "it can read no plot; run `dvc repro` in the project"),
}


@pytest.mark.parametrize(("answer", "message"), REFUSED.values(), ids=REFUSED)
def test_without_a_page_a_line_says_why(answers, answer, message):
    answers(*answer)
    with pytest.raises(UserError, match=f"^dvc plots: {message}$"):
        plots.draw(None)


def test_the_page_holds_its_scripts_and_names_no_other_server():
    page = plots.page_template("scripts")
    assert "\nscripts\n" in page
    assert "{plot_divs}" in page  # where DVC puts the plots
    assert "{scripts}" not in page  # where DVC would put links to scripts
    assert "//" not in page.replace("// DVC", "").replace("// As", "")


def test_each_plot_has_its_place_in_the_order_of_the_page():
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    stages = [stage.get("do", stage) for stage in pipeline["stages"].values()]
    declared = [path for plot in itertools.chain(*(stage.get("plots", ()) for stage in stages)) for path in plot]
    order = json.loads(re.search(r"order = (\[.*?\])", plots.page_template(""), re.DOTALL)[1].replace("'", '"'))
    ids = [path.replace("/", "_").replace(".", "_") for path in declared]
    assert [each for each in ids if not each.startswith(tuple(order))] == []
    assert [name for name in order if not any(each.startswith(name) for each in ids)] == []


def test_the_page_is_no_part_of_a_commit():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert plots.FOLDER in ignored
