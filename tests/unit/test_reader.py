"""A stage reads params.yaml to the values that DVC gives it, or gets one line on why it cannot."""

import datetime
import math
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from study.params import reader

COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def dvc_value(text: str) -> Any:
    return parse_yaml(text, "params.yaml")


def same(one: Any, other: Any) -> bool:
    """Equal in value and type at every depth, and in the order of keys; NaN equals NaN, and -0.0 differs from 0.0."""
    return type(one) is type(other) and repr(one) == repr(other)


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
            ("0x1F", 31),
            ("0o17", 15),
            ("0b11", 3),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1e-05", 1e-05),
            ("1.e-5", 1e-05),
            ("-0.0", -0.0),
            ("1e999", math.inf),
            ("+.inf", math.inf),
            ("-.INF", -math.inf),
            (".nan", math.nan),
            ("inf", "inf"),
            ("nan", "nan"),
            ("", None),
            ("~", None),
            ("null", None),
            ("true", True),
            ("TRUE", True),
            ("False", False),
            ("yes", "yes"),
            ("no", "no"),
            ("on", "on"),
            ("off", "off"),
            ("12:30", "12:30"),
            ("12:30:45.5", "12:30:45.5"),
            ("a # b", "a"),
            ("https://host/a?b=c#d", "https://host/a?b=c#d"),
            ("'1'", "1"),
            ("'it''s'", "it's"),
            ('"1e3"', "1e3"),
            ("2001-01-01", datetime.date(2001, 1, 1)),
            ("'2001-01-01'", "2001-01-01"),
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
        pytest.param("--- # nothing\n...\n", {}, id="an empty document is an empty mapping"),
        pytest.param("0", {}, id="a zero alone is an empty mapping"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="a byte order mark in front"),
        pytest.param("a: 1\r\nb: 2\r", {"a": 1, "b": 2}, id="line ends of other systems"),
        pytest.param('{"a":1, "b":[2]}', {"a": 1, "b": [2]}, id="JSON"),
        pytest.param("a:\n  <<: {b: 1}\n  c: 2", {"a": {"b": 1, "c": 2}}, id="a merge"),
        pytest.param("2: a\ntrue: c\n~: d", {2: "a", True: "c", None: "d"}, id="keys that are no text"),
    ],
)
def test_a_document_has_the_value_that_dvc_gives_it(text, value):
    assert reader.read(text) == value
    assert dvc_value(text) == value


REFUSED = {
    "a key given twice": ("a: 1\nb: 2\na: x", 3, 'found duplicate key "a"'),
    "a mapping as a key": ("? {b: 1}\n: c", 1, "found unhashable key"),
    "a tag": ("a: 1\nb: !x 1", 2, "could not determine a constructor for the tag '!x'"),
    "a tag of Python": ("!!python/object:os.system {}", 1, "could not determine a constructor"),
    "an anchor": ("a: &x 1", 1, "anchors (&) and aliases (*) are not allowed"),
    "an alias": ("a: 1\nb: *x", 2, "anchors (&) and aliases (*) are not allowed"),
    "aliases that multiply": ("a: &a [x, x]\nb: &b [*a, *a]", 1, "anchors (&) and aliases (*) are not allowed"),
    "a date that is none": ("a: 2001-99-99", None, "month must be in 1..12"),
    "two documents": ("a: 1\n---\nb: 1", 2, "but found another document"),
    "a NUL": ("a: \0", None, "control characters are not allowed"),
    "half a surrogate pair": ("a: \ud800", None, "surrogates not allowed"),
    "lists too deep": ("[" * 101 + "]" * 101, 1, "nested more than 100 levels deep"),
    "so many brackets that the parser would crash": ("[" * 100_000, 1, "nested more than 100 levels deep"),
    "so many dashes that the parser would crash": ("- " * 50_000, 1, "nested more than 100 levels deep"),
    "too many digits": ("a: " + "9" * 5000, None, "value has 5000 digits"),
    "a tab as indentation": ("a:\n\tb: 1", 2, "found character that cannot start any token"),
    "no colon": ("a: 1\nb\nc: 2", 3, "could not find expected ':'"),
    "a bracket left open": ("a: [1\nb: 2", 2, "did not find expected ',' or ']'"),
    "a quote left open": ("a: 'c\n", 2, "found unexpected end of stream"),
}


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_is_refused_gets_one_line_with_the_reason(text, line, reason):
    with pytest.raises(reader.YamlError) as caught:
        reader.read(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.line == line


def test_the_value_of_a_key_given_twice_is_not_shown():
    with pytest.raises(reader.YamlError, match="^while constructing a mapping, found duplicate key .path.$"):
        reader.read("path: 1\npath: hidden")


def test_the_committed_params_have_the_values_that_dvc_gives_them():
    assert same(reader.read(COMMITTED), dvc_value(COMMITTED))


SIGNS = [
    "\n",
    "\n  ",
    "\n---\n",
    " #",
    ": ",
    "- ",
    "? ",
    "<<: ",
    "!!int ",
    "&a ",
    "*a",
    "%",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    '"',
]
WORDS = [
    "a",
    "1",
    "010",
    "1e-05",
    "on",
    "~",
    "null",
    "true",
    ".5",
    "-.inf",
    ".nan",
    "2001-01-01",
    "=",
    "0x_",
    "\t",
    "\0",
]


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(SIGNS + WORDS), max_size=12).map("".join))
def test_any_text_is_read_as_by_dvc_or_refused_in_one_line(text):
    try:
        value = reader.read(text)
    except reader.YamlError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert same(value, dvc_value(text))
