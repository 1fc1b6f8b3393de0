"""A comparison as text, Markdown and JSON, and the commands that print it."""

import json
import re

import pytest
from samples import ranked
from study.report.seed_noise import Training

from study.__main__ import main
from study.base.runtime import UserError
from study.compare import changes, revisions, verdicts
from study.compare.changes import ChangedModel, Changes
from study.evaluation.seeds import Noise
from study.report import words
from study.report.differences import Answer, Pair


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
    assert re.fullmatch(r"base \(\w{7}\) → changed \(\w{7}\)", lines[0])
    assert lines[2:7] == [
        "params changed:",
        "  models.cnn2.dropout: 0.3 → 0.4",
        "code changed:",
        "  study/code.py (changed)",
        "  study/new|<b>.py (added)",
    ]
    assert [line.split()[:2] for line in lines[8:12]] == [
        ["model", "verdict"],
        ["cnn2", "better"],
        ["resnet50", "worse"],
        ["best", "same"],
    ]


def test_text_says_that_nothing_changed(here):
    assert verdicts.text(compare("base")).splitlines()[2:4] == ["no param changed", "no code changed"]


def test_markdown_has_the_same_table(here):
    comparison = compare("base", "changed")
    rows = [line for line in verdicts.markdown(comparison).splitlines() if line.startswith(("| cnn2 ", "| resnet50 "))]
    assert [row.strip("| ").split(" | ") for row in rows] == verdicts.table(comparison, str)[1:3]


def test_an_answer_has_its_interval(here):
    cells = verdicts.table(compare("base", "changed"), str)[1]
    assert re.fullmatch(r"0\.\d{4} → 0\.\d{4}", cells[2])
    assert all(re.fullmatch(r"[+]0\.\d{4} \[[+]0\.\d{4}, [+]0\.\d{4}\]", cells[index]) for index in (3, 4, 6))


def test_a_new_and_a_gone_model_have_their_scores_alone(here):
    cells = {row[0]: row[1:] for row in verdicts.table(compare("base", "models"), str)}
    assert [cells["cnn3"][0], cells["resnet50"][0]] == ["new", "gone"]
    assert cells["cnn3"][1].startswith("– → 0.")
    assert cells["resnet50"][1].endswith(" → –")
    assert cells["cnn3"][2:4] == ["–", "–"]


def test_a_borrowed_noise_is_marked(here):
    comparison = compare("base", "lent")
    cells = {row[0]: row for row in verdicts.table(comparison, str)}
    assert cells["best"][4].endswith(" †")
    assert "† best: trained once, so its seed variance is estimated from cnn2.\n" in verdicts.text(comparison)


LENDERS = {
    "the tuned model": ([("cnn2", ("cnn2", "cnn3"))] * 2, "estimated from cnn2"),
    "the largest": ([("all models", ("cnn3",))] * 2, "estimated from cnn3, the largest of all models"),
    "two": ([("cnn2", ("cnn2",)), ("cnn3", ("cnn3",))], "estimated from cnn2 and estimated from cnn3"),
    "once": ([("", ("cnn2",)), ("cnn3", ("cnn3",))], "estimated from cnn3"),
    "nobody": ([("", ("cnn2",))] * 2, ""),
}


@pytest.mark.parametrize(("loans", "named"), LENDERS.values(), ids=LENDERS)
def test_the_lenders_of_both_revisions_are_named(loans, named):
    before, after = (
        ranked("best", 0.9, training=Training(1, Noise(1e-5, 2.0, True, borrowed, measured)))
        for borrowed, measured in loans
    )
    answer = Answer(0.0, -0.1, 0.1, 1.0, 0.05)
    pair = Pair(after, before, answer, 1.0, answer, 1.0)
    assert verdicts.lenders(ChangedModel("best", before, after, pair)) == named


EXPLAINED = {"answers": ("changed", True), "the same bytes": ("comment", False), "new and gone": ("models", False)}


@pytest.mark.parametrize(("head", "explained"), EXPLAINED.values(), ids=EXPLAINED)
def test_answers_are_explained_where_there_are_some(here, head, explained):
    for form in (verdicts.text, verdicts.markdown):
        assert ("would the change hold" in form(compare("base", head))) == explained


def test_no_noise_is_marked_as_borrowed_where_none_is(here):
    assert "†" not in verdicts.text(compare("base", "alike"))


@pytest.mark.parametrize("head", ["hostile", "changed"])
def test_markdown_holds_no_markup_from_outside(here, head):
    text = verdicts.markdown(compare("base", head))
    assert "<" not in text
    assert "@" not in text
    assert "\x1b" not in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("| models.")} <= {4}


def test_text_holds_no_control_character(here):
    assert "\x1b" not in verdicts.text(compare("base", "hostile"))


def test_json_has_each_row_with_both_answers(here):
    record = json.loads(verdicts.as_json(compare("base", "changed")))
    assert record["params"] == [{"name": "models.cnn2.dropout", "before": "0.3", "after": "0.4"}]
    row = record["models"][0]
    assert (row["model"], row["verdict"], row["shipped"]["value"]) == ("cnn2", "better", row["change"])
    assert row["retrained"].keys() == {"value", "low", "high", "p", "deviation"}
    assert record["models"][2]["retrained"] is None


FORMS = {"text": [], "Markdown": ["--md"], "JSON": ["--json"]}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_compare_prints_a_form(here, capsys, options):
    main("compare", "base", "changed", *options)
    form = {"--md": verdicts.markdown, "--json": verdicts.as_json}.get("".join(options), verdicts.text)
    assert capsys.readouterr().out == form(compare("base", "changed"))


def test_a_regression_fails_if_it_shall_and_the_table_is_printed_first(here, capsys):
    with pytest.raises(UserError, match="^worse than base: resnet50$"):
        main("compare", "base", "changed", "--fail-on-regression")
    assert capsys.readouterr().out == verdicts.text(compare("base", "changed"))


PASSING = {"without the option": ["changed"], "where none is worse": ["lent", "--fail-on-regression"]}


@pytest.mark.parametrize("arguments", PASSING.values(), ids=PASSING)
def test_nothing_fails(here, capsys, arguments):
    main("compare", "base", *arguments)
    assert capsys.readouterr().out
