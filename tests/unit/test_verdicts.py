"""A comparison as text, Markdown and JSON, and the commands that print it."""

import json
import re

import pytest

from study.__main__ import main
from study.base.runtime import UserError
from study.compare import changes, revisions, verdicts
from study.compare.changes import Changes
from study.report import words


def compare(base: str, head: str | None = None) -> Changes:
    return changes.between(*revisions.find(base, head))


SHOWN = {
    "plain": ("models.cnn2_dropout.dropout", "models.cnn2_dropout.dropout"),
    "number": ("-0.5", "-0.5"),
    "a path": ("study/models/cnn/build.py", "study/models/cnn/build.py"),
    "a cell": ("a|b", "a&#124;b"),
    "HTML": ("<b>&amp;", "&#60;b&#62;&#38;amp;"),
    "emphasis": ("*a* _b_ c_d", "&#42;a&#42; &#95;b&#95; c_d"),
    "code": ("`a`", "&#96;a&#96;"),
    "a link": ("[a](b)", "&#91;a&#93;(b)"),
    "an address": ("https://a.b www.c.d", "https&#58;\u200b//a.b www&#46;\u200bc.d"),
    "a mention": ("@name", "&#64;\u200bname"),
    "an issue": ("#12", "&#35;\u200b12"),
    "an issue by its other name": ("GH-12, gh-x", "GH&#45;\u200b12, gh-x"),
    "a mention by its character": ("&commat;name &#64;name", "&#38;commat;name &#38;&#35;\u200b64;name"),
    "a formula": ("$x$", "&#36;x&#36;"),
    "a template": ("{{ x }}", "&#123;&#123; x &#125;&#125;"),
    "lines": ("a\nb", "a&#92;nb"),
    "a control character": ("\x1b[0m", "&#92;x1b&#91;0m"),
    "text that turns": ("a\u202eb", "a&#92;u202eb"),
    "half a pair": ("\udc80", "&#92;udc80"),
    "umlaut": ("schön 日本", "schön 日本"),
}


@pytest.mark.parametrize(("value", "text"), SHOWN.values(), ids=SHOWN)
def test_a_value_is_no_markup(value, text):
    assert words.markdown(value) == text


def test_text_for_a_terminal_has_no_control_character():
    assert words.printable("\x1b[31m|<b>\n") == "\\x1b[31m|<b>\\n"


def test_columns_stand_below_each_other():
    assert words.columns([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"


def test_text_has_a_row_per_model_below_what_changed(here):
    lines = verdicts.text(compare("base", "changed")).splitlines()
    assert re.fullmatch(r"resnet50 is worse by 0\.\d{4}; cnn2 is better by 0\.\d{4}\.", lines[0])
    assert re.fullmatch(r"base \(\w{7}\) → changed \(\w{7}\)", lines[1])
    assert lines[3:8] == [
        "params changed:",
        "  models.cnn2.dropout: 0.3 → 0.4",
        "code changed:",
        "  study/code.py (changed)",
        "  study/new|<b>.py (added)",
    ]
    assert [line.split()[:2] for line in lines[9:13]] == [
        ["model", "verdict"],
        ["cnn2", "better"],
        ["resnet50", "worse"],
        ["best", "same"],
    ]


CONCLUSIONS = {
    "the same bytes": ("base", "comment", r"No model changed\."),
    "what seeds explain": ("base", "alike", r"Nothing changed that seeds .*; unclear: cnn2, resnet50; unknown: best\."),
    "unknown": ("once", "once_changed", r"No change is shown; unknown: cnn2\."),
    "another winner": ("base", "otherwise", r"No model changed; the search chose otherwise: best\."),
    "new and gone": ("base", "models", r"No model changed; new: cnn3; gone: resnet50\."),
    "a better search": ("searched", "searched_better", r"the search is better by 0\.0100\."),
    "a search to come": ("base", "partly", r"cnn2 is better by 0\.\d{4}; not run yet: best\."),
}


@pytest.mark.parametrize(("base", "head", "sentence"), CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_the_first_line_is_the_conclusion(here, base, head, sentence):
    assert re.fullmatch(sentence, verdicts.text(compare(base, head)).splitlines()[0])


def test_text_says_that_nothing_changed(here):
    assert verdicts.text(compare("base")).splitlines()[3:5] == ["no param changed", "no code changed"]


def test_a_difference_has_its_interval_and_lies_between_the_means(here):
    model = compare("base", "changed").models[0]
    means, difference = verdicts.table([model], str)[1][2:]
    before, after = map(float, re.fullmatch(r"(0\.\d{4}) → (0\.\d{4})", means).groups())
    assert re.fullmatch(r"[+]0\.\d{4} \[[+]0\.\d{4}, [+]0\.\d{4}\]", difference)
    assert float(difference.split()[0]) == pytest.approx(after - before, abs=2e-4)


def test_notes_have_a_column_if_there_are_any(here):
    notes = [row[-1] for row in verdicts.table(compare("base", "partly").models, str)]
    assert notes == ["note", "", "", "`dvc repro` runs it"]
    assert verdicts.HEADER[-1] not in verdicts.text(compare("base", "changed"))


def test_a_new_and_a_gone_model_have_their_scores_alone(here):
    cells = {row[0]: row[1:] for row in verdicts.table(compare("base", "models").models, str)}
    assert [cells["cnn3"][0], cells["resnet50"][0]] == ["new", "gone"]
    assert cells["cnn3"][1].startswith("– → 0.")
    assert cells["resnet50"][1].endswith(" → –")
    assert cells["cnn3"][2] == "–"


EXPLAINED = {"answers": ("changed", True), "the same bytes": ("comment", False), "new and gone": ("models", False)}


@pytest.mark.parametrize(("head", "explained"), EXPLAINED.values(), ids=EXPLAINED)
def test_answers_are_explained_where_there_are_some(here, head, explained):
    assert ("corrected for the number of models" in verdicts.text(compare("base", head))) == explained


def test_the_search_has_a_row_of_its_own_which_is_explained(here):
    text = verdicts.text(compare("searched", "searched_better"))
    (row,) = [line for line in text.splitlines() if line.startswith("the search  ")]
    assert re.fullmatch(r"the search +better +0\.9600 → 0\.9700 +\+0\.0100 \[.*\].*", row)
    assert "The search: the means are the validation ROC-AUC of its winners" in text


def test_text_holds_no_control_character(here):
    assert "\x1b" not in verdicts.text(compare("base", "hostile"))


def test_json_has_each_row_with_both_answers(here):
    record = json.loads(verdicts.as_json(compare("base", "changed")))
    assert record["conclusion"].startswith("resnet50 is worse by ")
    assert record["params"] == [{"name": "models.cnn2.dropout", "before": "0.3", "after": "0.4"}]
    row = record["models"][0]
    assert (row["model"], row["verdict"], row["note"]) == ("cnn2", "better", "")
    change = row["after"]["roc_auc"] - row["before"]["roc_auc"]
    assert row["shipped"]["value"] == pytest.approx(change)
    assert row["retrained"].keys() == {"value", "low", "high", "p"}
    assert record["models"][2]["retrained"] is None


FORMS = {"text": (verdicts.text, []), "JSON": (verdicts.as_json, ["--json"])}


@pytest.mark.parametrize(("form", "options"), FORMS.values(), ids=FORMS)
def test_compare_prints_a_form(here, capsys, form, options):
    main("compare", "base", "changed", *options)
    assert capsys.readouterr().out == form(compare("base", "changed"))


def test_a_regression_fails_if_it_shall_and_the_table_is_printed_first(here, capsys):
    with pytest.raises(UserError, match="^worse than base: resnet50$"):
        main("compare", "base", "changed", "--fail-on-regression")
    assert capsys.readouterr().out == verdicts.text(compare("base", "changed"))


PASSING = {"without the option": ["changed"], "where none is worse": ["best", "--fail-on-regression"]}


@pytest.mark.parametrize("arguments", PASSING.values(), ids=PASSING)
def test_nothing_fails(here, capsys, arguments):
    main("compare", "base", *arguments)
    assert capsys.readouterr().out
