"""The text of params.yaml as values: exactly those that DVC reads from it, or one line on why there are none.

DVC reads YAML 1.2 with ruamel.yaml. PyYAML reads YAML 1.1, in which `1e-05` is text, `on` is true and `010` is 8. The
loader below is PyYAML's with DVC's rules. What the two would still read differently, and what params have no use for
(anchors, tags, dates, several documents), is refused.
"""

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from yaml import MarkedYAMLError, SafeLoader
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.tokens import ScalarToken, StreamEndToken, ValueToken

DEEPEST = 100  # levels of lists and mappings within each other

NULL, BOOL, FLOAT, INT, TIMESTAMP, MERGE, EQUALS, STR, SEQ, MAP = (
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "float", "int", "timestamp", "merge", "value", "str", "seq", "map")
)
EXPONENT = "[eE][-+]?[0-9]+"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
ZONE = r"[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?)"
# What an unquoted scalar is: the first kind whose pattern is all of it and whose characters it begins with; else text.
KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (NULL, "~|null|Null|NULL|", ("~", "n", "N", "")),
    (BOOL, "true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    (
        FLOAT,
        rf"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:{EXPONENT})?|{EXPONENT})"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
    (INT, "[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)", tuple("-+0123456789")),
    (TIMESTAMP, f"{DATE}|[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}{TIME}(?:{ZONE})?", tuple("0123456789")),
    (MERGE, "<<", ("<",)),
    (EQUALS, "=", ("=",)),
)
BASES = {"0b": 2, "0o": 8, "0x": 16}

BLANKS = "\0 \t\r\n"  # the loader puts NUL behind the text
BLOCK_PLAIN = re.compile(r"(?:[^\0 \t\r\n:]|:(?![\0 \t\r\n]))*")
FLOW_PLAIN = re.compile(r"(?:[^\0 \t\r\n:,\[\]{}]|:(?![\0 \t\r\n]))*")
BLANK_LINE = re.compile(r" +(?=[\r\n])")
LINE_BREAK = re.compile(r"\r\n|\r|\n")
# Control characters, halves of surrogate pairs, and line breaks that only one of the two parsers counts as lines.
FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class YamlError(ValueError):
    """A fault in the text: what it is, in one line, and in which line of the text, counted from 1, or None."""

    def __init__(self, reason: str, line: int | None = None):
        super().__init__(" ".join(reason.split()))
        self.line = line


def read(text: str) -> Any:
    """Read one YAML document. As with DVC, a document that is empty or false is {}. Raises YamlError."""
    if character := FORBIDDEN.search(text):
        line = 1 + len(LINE_BREAK.findall(text, 0, character.start()))
        raise YamlError(f"the character U+{ord(character[0]):04X} is not allowed", line)
    loader = _Loader(text)
    try:
        return loader.get_single_data() or {}
    except MarkedYAMLError as error:
        raise _fault(error) from None
    except RecursionError:
        raise YamlError("lists or mappings are nested too deep") from None
    finally:
        loader.dispose()


def _fault(error: MarkedYAMLError) -> YamlError:
    """What PyYAML found wrong, in one line."""
    mark, start = error.problem_mark, error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    if error.context and start and mark and start.line != mark.line:
        parts[0] += f" that starts in line {start.line + 1}"
    return YamlError(", ".join(parts), mark.line + 1 if mark else None)


def _whole_number(text: str) -> int:
    digits = text.replace("_", "").lstrip("+-")
    base = BASES.get(digits[:2], 10)
    if base != 10:
        digits = digits[2:]
    if not digits:
        raise ValueError(f"{reprlib.repr(text)} is a number without digits")
    try:
        number = int(digits, base)
    except ValueError:
        raise ValueError(f"a whole number of {len(digits)} digits is too long") from None
    return -number if text.startswith("-") else number


def _fraction(text: str) -> float:
    number = text.replace("_", "").lower().replace(".inf", "inf")
    if number == ".nan":
        return math.nan
    try:
        return float(number)
    except ValueError:
        raise ValueError(f"{reprlib.repr(text)} is a number without digits") from None


def _refused(reason: str) -> Callable[[str], NoReturn]:
    def refuse(_: str) -> NoReturn:
        raise ValueError(reason)

    return refuse


# The value of an unquoted scalar of each kind; a ValueError says why it has none.
VALUES: dict[str, Callable[[str], Any]] = {
    NULL: lambda _: None,
    BOOL: lambda text: text.lower() == "true",
    FLOAT: _fraction,
    INT: _whole_number,
    TIMESTAMP: _refused("a date is not allowed; as text it needs quotes"),
    MERGE: _refused("`<<` is not allowed; as text it needs quotes"),
    EQUALS: _refused("`=` alone is not allowed; as text it needs quotes"),
}


def _scalar(loader: "_Loader", node: ScalarNode) -> Any:
    try:
        return VALUES[node.tag](node.value)
    except ValueError as error:
        raise YamlError(str(error), _line(node)) from None


def _line(node: Node) -> int:
    return node.start_mark.line + 1


class _Loader(SafeLoader):
    """PyYAML's safe loader, changed where DVC's parser does something else."""

    yaml_implicit_resolvers: ClassVar[dict] = {
        first: [(tag, re.compile(rf"(?:{pattern})\Z")) for tag, pattern, firsts in KINDS if first in firsts]
        for first in {first for _, _, firsts in KINDS for first in firsts}
    }
    yaml_constructors: ClassVar[dict] = {
        **dict.fromkeys(VALUES, _scalar),
        STR: SafeLoader.construct_yaml_str,
        SEQ: SafeLoader.construct_yaml_seq,
        MAP: SafeLoader.construct_yaml_map,
    }

    def __init__(self, text: str):
        self.brackets: list[str] = []  # the open ones
        self.depth = 0
        super().__init__(text)

    def refuse(self, reason: str) -> NoReturn:
        """Raise YamlError for the line at hand."""
        raise YamlError(reason, self.line + 1)

    # What params have no use for.

    def fetch_anchor(self) -> None:
        self.refuse("`&` starts an anchor, which is not allowed; text that starts so needs quotes")

    def fetch_alias(self) -> None:
        self.refuse("`*` starts an alias, which is not allowed; text that starts so needs quotes")

    def fetch_tag(self) -> None:
        self.refuse("`!` starts a tag, which is not allowed; text that starts so needs quotes")

    def fetch_directive(self) -> None:
        self.refuse("`%` starts a directive, which is not allowed; text that starts so needs quotes")

    def fetch_block_scalar(self, style: str) -> None:
        if self.indent < 0:
            self.refuse("the whole document is a block of text")
        super().fetch_block_scalar(style)

    def parse_block_mapping_key(self) -> Any:
        self.check_colon()
        return super().parse_block_mapping_key()

    def parse_flow_node(self) -> Any:
        self.check_colon()
        return super().parse_flow_node()

    def check_colon(self) -> None:
        """Refuse a colon where a key or a value should be; DVC would take it as `null:`."""
        if self.check_token(ValueToken):
            raise YamlError("a `:` has no key before it", self.peek_token().start_mark.line + 1)

    def parse_document_end(self) -> Any:
        event = super().parse_document_end()
        if not self.check_token(StreamEndToken):
            raise YamlError("more follows where the document ends", self.peek_token().start_mark.line + 1)
        return event

    def compose_node(self, parent: Node | None, index: Any) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            line = self.peek_event().start_mark.line + 1
            raise YamlError(f"lists or mappings are nested more than {DEEPEST} levels deep", line)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict:
        mapping: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise YamlError("a list or mapping is not allowed as a key", _line(key_node))
            key = self.construct_object(key_node)
            if key in mapping:
                raise YamlError(
                    f"the key {reprlib.repr(key_node.value)} is there already, in line {lines[key]}", _line(key_node)
                )
            mapping[key], lines[key] = self.construct_object(value_node, deep), _line(key_node)
        return mapping

    # Where a scalar ends, and what a colon or a tab is within brackets.

    def fetch_flow_collection_start(self, token: type) -> None:
        self.brackets.append(self.peek())
        super().fetch_flow_collection_start(token)

    def fetch_flow_collection_end(self, token: type) -> None:
        if not self.brackets:
            self.refuse(f"`{self.peek()}` closes nothing")
        self.brackets.pop()
        super().fetch_flow_collection_end(token)

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.brackets and self.peek() == "\t":
            self.forward()
            super().scan_to_next_token()

    def check_value(self) -> bool:
        if self.peek(1) in BLANKS:
            return True
        after_colon = bool(self.tokens) and isinstance(self.tokens[-1], ValueToken)
        return bool(self.brackets) and self.brackets[-1] == "{" and not after_colon

    def check_plain(self) -> bool:
        return super().check_plain() or (bool(self.brackets) and self.peek() == ":")

    def scan_plain(self) -> ScalarToken:
        pattern = FLOW_PLAIN if self.brackets else BLOCK_PLAIN
        start = end = self.get_mark()
        indent = self.indent + 1
        parts: list[str] = []
        spaces: list[str] | None = []
        while self.peek() != "#" and (word := pattern.match(self.buffer, self.pointer)[0]):
            self.allow_simple_key = False
            parts += [*spaces, word]
            self.forward(len(word))
            end = self.get_mark()
            spaces = self.scan_plain_spaces(indent, start)
            if not spaces or (not self.brackets and self.column < indent):
                break
        return ScalarToken("".join(parts), True, start, end)

    def scan_flow_scalar(self, style: str) -> ScalarToken:
        try:
            return super().scan_flow_scalar(style)
        except (ValueError, OverflowError):  # of chr()
            self.refuse("an escape in a quoted text stands for no character")

    def scan_block_scalar_indentation(self) -> tuple[list[str], int, Any]:
        line = self.line + 1
        blank = BLANK_LINE.match(self.buffer, self.pointer)
        breaks, deepest, end = super().scan_block_scalar_indentation()
        if blank and deepest > len(blank[0]):
            raise YamlError("a blank line before a block of text has spaces, but fewer than the text", line)
        return breaks, deepest, end
