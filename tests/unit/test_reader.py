"""A stage reads params.yaml to the values that DVC's own parser gives, or gets one line on why it cannot."""

import datetime
import inspect
import math
import re
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
import yaml
from dvc.utils.serialize._yaml import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from study.params import reader

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")
REFUSED = object()
# Refusals of text that DVC reads: the reason, and what the text has in it then.
BY_DESIGN = {
    "`[&*!%]` starts a": "[&*!%]",
    "a date is not allowed": r"\d{4}-\d",
    "`<<` is not allowed": "<<",
    "`=` alone is not allowed": "=",
    "the character U[+](0085|2028|2029) is": "[\x85\u2028\u2029]",
    "a list or mapping is not allowed as a key": "[]}:?]",
    "nested more than 100 levels": "[[{-]",
    "the whole document is a block of text": "[|>]",
    "a `:` has no key": ":",
}


def dvc_value(text: str) -> Any:
    try:
        return parse_yaml(text, "params.yaml")
    except Exception:  # not only of its own kind: ValueError, AttributeError and others get through
        return REFUSED


def same(one: Any, other: Any) -> bool:
    """Equal in value and type at every depth, and in the order of keys; NaN equals NaN, and -0.0 differs from 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return one == other


def check(text: str) -> None:
    """The reader gives DVC's value, or refuses what DVC refuses or what is refused by design."""
    expected = dvc_value(text)
    try:
        value = reader.read(text)
    except reader.YamlError as error:
        reason = str(error)
        assert "\n" not in reason
        assert error.line is None or 1 <= error.line <= len(text.splitlines()) + 1
        if expected is not REFUSED:
            assert any(
                re.search(said, reason) and re.search(sign, text, re.M | re.S) for said, sign in BY_DESIGN.items()
            )
        return
    assert expected is not REFUSED, f"DVC refuses what the reader reads as {value!r}"
    assert same(value, expected), f"{value!r} for DVC's {expected!r}"


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        pytest.param(scalar, value, id=scalar.replace("\n", "~") or "nothing")
        for scalar, value in [
            ("42", 42),
            ("+42", 42),
            ("-42", -42),
            ("010", 10),
            ("08", 8),
            ("1_000", 1000),
            ("1__0_", 10),
            ("_1", "_1"),
            ("0x1F", 31),
            ("-0x_f", -15),
            ("0X1F", "0X1F"),
            ("0o17", 15),
            ("0o18", "0o18"),
            ("0b11", 3),
            ("0b12", "0b12"),
            ("-0", 0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1_0.5_0", 10.5),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("1e-05", 1e-05),
            ("1.e-5", 1e-05),
            (".5e1", ".5e1"),
            (".5e+1", 5.0),
            ("-0.0", -0.0),
            ("1e999", math.inf),
            ("+.inf", math.inf),
            ("-.INF", -math.inf),
            (".nan", math.nan),
            ("-.nan", "-.nan"),
            ("inf", "inf"),
            ("nan", "nan"),
            ("", None),
            ("~", None),
            ("null", None),
            ("Null", None),
            ("nULL", "nULL"),
            ("true", True),
            ("TRUE", True),
            ("tRUE", "tRUE"),
            ("False", False),
            ("yes", "yes"),
            ("no", "no"),
            ("on", "on"),
            ("off", "off"),
            ("y", "y"),
            ("n", "n"),
            ("12:30", "12:30"),
            ("12:30:45.5", "12:30:45.5"),
            ("1.2.3", "1.2.3"),
            ("2001-1-1", "2001-1-1"),
            ("==", "=="),
            ("<<<", "<<<"),
            ("a#b", "a#b"),
            ("a # b", "a"),
            ("https://host/a?b=c#d", "https://host/a?b=c#d"),
            ("'1'", "1"),
            ("'it''s'", "it's"),
            ('"1e3"', "1e3"),
            ("'2001-01-01'", "2001-01-01"),
            ("'='", "="),
            ("'<<'", "<<"),
            (r'"\/\t\x41\u00e4\U0001F600"', "/\tA\u00e4\U0001f600"),
            ("two\n words", "two words"),
            ("|\n 1\n 2\n", "1\n2\n"),
            ("|-\n 1", "1"),
            (">\n a\n b\n\n c\n", "a b\nc\n"),
            (">+\n a\n\n", "a\n\n"),
            ("|2\n   a\n", " a\n"),
        ]
    ],
)
def test_a_scalar_has_the_value_that_dvc_gives_it(scalar, value):
    text = f"key: {scalar}"
    assert same(reader.read(text), {"key": value})
    assert same(dvc_value(text), {"key": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("", {}, id="an empty text is an empty mapping"),
        pytest.param("# nothing", {}, id="a comment alone is an empty mapping"),
        pytest.param("--- # nothing\n...\n", {}, id="an empty document is an empty mapping"),
        pytest.param("[]", {}, id="an empty list alone is an empty mapping"),
        pytest.param("0", {}, id="a zero alone is an empty mapping"),
        pytest.param("---\na: 1\n...\n", {"a": 1}, id="markers around one document"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="a byte order mark in front"),
        pytest.param("a: 1\r\nb: 2\r", {"a": 1, "b": 2}, id="line ends of other systems"),
        pytest.param("{a:\t1,\n\tb: 2\t# c\n\t}", {"a": 1, "b": 2}, id="tabs within brackets"),
        pytest.param("{a:}", {"a:": None}, id="a colon before a bracket is text"),
        pytest.param("[a:, :b, ::]", ["a:", ":b", "::"], id="colons in a list's text"),
        pytest.param("{a: :b, c::d: 1}", {"a": ":b", "c::d": 1}, id="colons in a mapping's text"),
        pytest.param('{"a":1, "b":[2]}', {"a": 1, "b": [2]}, id="JSON"),
        pytest.param("[a?b, c ?d]", ["a?b", "c ?d"], id="question marks in brackets"),
        pytest.param("? a\n: 1\n? b", {"a": 1, "b": None}, id="keys after question marks"),
        pytest.param(
            "2: a\n1.5: b\ntrue: c\n~: d", {2: "a", 1.5: "b", True: "c", None: "d"}, id="keys that are no text"
        ),
        pytest.param("a: |\n  x\n\n# c\nb: 1", {"a": "x\n", "b": 1}, id="a comment after a block of text"),
        pytest.param("a:\n- 1\n-\n- - 2\n  - 3\n", {"a": [1, None, [2, 3]]}, id="lists as deep as their key"),
    ],
)
def test_a_document_has_the_value_that_dvc_gives_it(text, value):
    assert same(reader.read(text), value)
    assert same(dvc_value(text), value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, "the key 'a' is there already, in line 1", id="a key given twice"),
        pytest.param("{a: 1,\n'a': 2}", 2, "the key 'a' is there already, in line 1", id="a key given twice in braces"),
        pytest.param("1: a\n1.0: b", 2, "the key '1.0' is there already, in line 1", id="two keys that are equal"),
        pytest.param(".nan: a\n.NaN: b", 2, "the key '.NaN' is there already, in line 1", id="two keys that are NaN"),
        pytest.param("[1, 2]: a", 1, "a list or mapping is not allowed as a key", id="a list as a key"),
        pytest.param("a: 1\n? {b: 1}\n: c", 2, "a list or mapping is not allowed as a key", id="a mapping as a key"),
        pytest.param("a: 1\n: 2", 2, "a `:` has no key before it", id="no key before a colon"),
        pytest.param("{a: 1,\n: 2}", 2, "a `:` has no key before it", id="no key before a colon in braces"),
        pytest.param("a: !!int '1'", 1, "`!` starts a tag", id="a tag of YAML's"),
        pytest.param("a: 1\nb: !x 1", 2, "`!` starts a tag", id="a tag of one's own"),
        pytest.param("%YAML 1.1\n---\na: on", 1, "`%` starts a directive", id="a version directive"),
        pytest.param("# c\n%TAG ! x\n---\na: 1", 2, "`%` starts a directive", id="a tag directive"),
        pytest.param("a: &x 1", 1, "`&` starts an anchor", id="an anchor"),
        pytest.param("a: 1\nb: *x", 2, "`*` starts an alias", id="an alias"),
        pytest.param("a: &a [x, x]\nb: &b [*a, *a]", 1, "`&` starts an anchor", id="aliases that multiply"),
        pytest.param("a:\n  <<: {b: 1}", 2, "`<<` is not allowed", id="a merge key"),
        pytest.param("a: <<", 1, "`<<` is not allowed", id="a merge as a value"),
        pytest.param("a: =", 1, "`=` alone is not allowed", id="an equals sign"),
        pytest.param("=: a", 1, "`=` alone is not allowed", id="an equals sign as a key"),
        pytest.param("a: 1\nb: 2001-01-01", 2, "a date is not allowed", id="a date"),
        pytest.param("2001-01-01: a", 1, "a date is not allowed", id="a date as a key"),
        pytest.param("[2001-1-1 1:02:03.5 +1]", 1, "a date is not allowed", id="a time"),
        pytest.param("a: 1\n---\nb: 1", 2, "more follows where the document ends", id="two documents"),
        pytest.param("a: 1\n...\n...\n", 3, "more follows where the document ends", id="two end markers"),
        pytest.param("a: 1\n... b", 2, "more follows where the document ends", id="text after an end marker"),
        pytest.param(
            "---\n|\n  a", 2, "the whole document is a block of text", id="a document that is a block of text"
        ),
        pytest.param("a: 1\r\nb: \0", 2, "the character U+0000 is not allowed", id="a NUL"),
        pytest.param("a: 1\nb: \ud800", 2, "the character U+D800 is not allowed", id="half a surrogate pair"),
        pytest.param("\n\n# \x1b", 3, "the character U+001B is not allowed", id="an escape character in a comment"),
        pytest.param("a: '\u2028'", 1, "the character U+2028 is not allowed", id="a line separator"),
        pytest.param("a: '\x85'", 1, "the character U+0085 is not allowed", id="a next line character"),
        pytest.param("[" * 101 + "]" * 101, 1, "nested more than 100 levels deep", id="lists nested too deep"),
        pytest.param("[" * 100_000, 1, "nested more than 100 levels deep", id="brackets without an end"),
        pytest.param("- " * 50_000, 1, "nested more than 100 levels deep", id="dashes without an end"),
        pytest.param("a: 1\nb: " + "9" * 5000, 2, "a whole number of 5000 digits is too long", id="too many digits"),
        pytest.param("a: 0x_", 1, "'0x_' is a number without digits", id="a whole number without digits"),
        pytest.param("a: +_", 1, "'+_' is a number without digits", id="a sign without digits"),
        pytest.param("a: -._", 1, "'-._' is a number without digits", id="a fraction without digits"),
        pytest.param('a: "\\U00110000"', 1, "stands for no character", id="an escape beyond the last character"),
        pytest.param('a: "\\UFFFFFFFF"', 1, "stands for no character", id="an escape beyond a machine word"),
        pytest.param('a: "\\q"', 1, "found unknown escape character 'q'", id="an escape that is none"),
        pytest.param(
            "a: 1\nb: |\n \n  c\n",
            3,
            "a blank line before a block of text has spaces",
            id="a short blank line in a block",
        ),
        pytest.param("a:\n\tb: 1", 2, "found character '\\t' that cannot start any token", id="a tab as indentation"),
        pytest.param(
            "a: 1\nb\nc: 2", 3, "a simple key that starts in line 2, could not find expected ':'", id="no colon"
        ),
        pytest.param("a: b: c", 1, "mapping values are not allowed here", id="two colons in a line"),
        pytest.param("a: ]", 1, "`]` closes nothing", id="a bracket that closes nothing"),
        pytest.param("a: [1\nb: 2", 2, "expected ',' or ']', but got ':'", id="a bracket left open"),
        pytest.param(
            "a: 1\nb: 'c\n\n", 4, "a quoted scalar that starts in line 2, found unexpected end", id="an open quote"
        ),
        pytest.param("a: 1\n  b: 2", 2, "mapping values are not allowed here", id="a line too far right"),
        pytest.param("a:\n  b: 1\n c: 2", 3, "expected <block end>", id="a line between two levels"),
    ],
)
def test_text_that_is_refused_gets_one_line_with_the_reason(text, line, reason):
    with pytest.raises(reader.YamlError) as caught:
        reader.read(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.line == line


def test_nesting_is_refused_in_one_line_where_the_stack_is_nearly_full():
    def from_below(frames: int) -> Any:
        return from_below(frames - 1) if frames else reader.read("[" * 90 + "]" * 90)

    room = sys.getrecursionlimit() - len(inspect.stack(0))
    with pytest.raises(reader.YamlError, match="nested too deep"):
        from_below(room - 100)


def test_the_committed_params_have_the_values_that_dvc_gives_them():
    assert same(reader.read(COMMITTED), dvc_value(COMMITTED))


def test_the_loader_of_other_programs_is_left_alone():
    reader.read("a: 1")
    assert yaml.safe_load("[on, 010, 1e-05, 2001-01-01]") == [True, 8, "1e-05", datetime.date(2001, 1, 1)]


PIECES = [*"0017_..+-:::eEobx~=<?#' Z", "null", "true", "FALSE", "yes", "on", "y", "inf", "NaN", "2001-01-01"]
SCALARS = st.text(alphabet="01789_.+-:eEoxb", max_size=10) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@settings(deadline=None)
@given(scalar=SCALARS, other=SCALARS)
def test_any_scalar_anywhere_has_the_value_that_dvc_gives_it(scalar, other):
    check(f"key: {scalar}")
    check(f"- {scalar}")
    check(f"{scalar}: {other}")
    check(f"key: [{scalar}, {other}]")
    check(f"{{{scalar}: {other}}}")


PLAIN = ["1", "1_000", "010", "0x1F", "1e-05", ".5", "-.inf", "null", "~", "true", "on", "12:30", "two words", "a?b:c"]
QUOTED = ["''", "'it''s: #1'", '"\\u00e4 \\"x\\" [,"', '"1"', "'a\n\n  b'"]
BLOCKS = ["|\n1\n\n  2\n", ">-\na: b\n# no comment\n", "|+\nx\n\n"]
KEYS = ["a", "b", "seed", "learning_rate", "on", "1e-05", "010", "~", "'quoted: key'", '"x"']
COMMENTS = st.sampled_from(["", "", "", " # one", "  # two: [3, {'"])
TREES = st.recursive(
    st.sampled_from([*PLAIN, *QUOTED, *BLOCKS]),
    lambda trees: st.lists(trees, max_size=3) | st.dictionaries(st.sampled_from(KEYS), trees, max_size=3),
    max_leaves=8,
)


def in_brackets(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {in_brackets(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ",\n   ".join(map(in_brackets, tree)) + "]"
    return "'block'" if tree in BLOCKS else tree


def in_lines(tree: Any, draw) -> str:
    """A list or mapping with an entry a line, with comments and inner collections indented or in brackets."""
    entries = []
    pairs = tree.items() if isinstance(tree, dict) else (("-", value) for value in tree)
    for key, value in pairs:
        head = key if key == "-" else f"{key}:"
        if isinstance(value, list | dict) and value and draw(st.booleans()):
            entries.append(f"{head}{draw(COMMENTS)}\n" + indent(in_lines(value, draw), " " * draw(st.integers(1, 4))))
        elif value in BLOCKS:
            style, _, lines = value.partition("\n")
            entries.append(f"{head} {style}\n" + indent(lines, "  "))
        else:
            entries.append(f"{head} {indent(in_brackets(value), '      ').lstrip()}{draw(COMMENTS)}\n")
    return "".join(draw(st.sampled_from(["", "", "\n", "# c\n"])) + entry for entry in entries)


@st.composite
def plain_documents(draw) -> str:
    trees = st.dictionaries(st.sampled_from(KEYS), TREES, min_size=1, max_size=4)
    return draw(st.sampled_from(["", "---\n"])) + in_lines(draw(trees), draw)


SIGNS = st.text(
    alphabet=" \n\t:?-#,[]{}'\"|>&*!%@`\\/~=<.+01en\r\x85\u2028\ufeff\xa0\0", min_size=1, max_size=3
) | st.sampled_from(["\n---\n", "\n...\n", "\n  ", "- - ", "? - ", "<<: ", "!!int ", "2001-01-01", '"a":', "''"])


@st.composite
def changed_texts(draw) -> str:
    """Some lines of params.yaml or of a plain document, with signs put in and characters taken out."""
    if draw(st.booleans()):
        lines = COMMITTED.splitlines(keepends=True)
        start = draw(st.integers(0, len(lines) - 1))
        text = dedent("".join(lines[start : start + draw(st.integers(1, 12))]))
    else:
        text = draw(plain_documents())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(SIGNS) + text[place + draw(st.integers(0, 2)) :]
    return text


@settings(deadline=None)
@given(text=plain_documents())
def test_any_plain_document_is_read_to_the_values_that_dvc_gives_it(text):
    assert same(reader.read(text), dvc_value(text))


@settings(deadline=None)
@given(text=changed_texts())
def test_a_changed_text_is_read_as_by_dvc_or_refused(text):
    check(text)
