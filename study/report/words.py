"""Records to Markdown and plain text, by the templates beside this module."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from study.base import files

TEMPLATES = Path(__file__).parent / "templates"
# What Markdown, HTML or GitHub take for more than itself: `_` at the edge of a word, `www.` in front of an address.
REFERENCE = r"[@#]|:(?=//)|(?<=www)\.|(?<=\bGH)-(?=\d)"  # in @NAME, OWNER/NAME#1, GH-1 and addresses
SPECIAL = re.compile(
    rf"""(?P<reference>{REFERENCE})|[&<>"'|`*\[\]\\~!:${{}}^]|(?<![^\W_])_|_(?![^\W_])""", re.IGNORECASE
)
LONGEST_VALUE, LONGEST_TABLE = 80, 100  # characters and rows: a comment on GitHub holds 65,536 characters
INVISIBLE = "\u200b"  # a space of no width


def render(template: str, form: str = "md", folder: Path = TEMPLATES, **records: Any) -> str:
    """The text of FOLDER/TEMPLATE.FORM.j2 for these records; the filter `shown` is for values from outside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown; what comes from outside passes through `shown`
    )
    shown = markdown if form == "md" else printable
    environment.filters |= {
        "shown": shown,
        "value": lambda value: shown(_shortened(value)),
        "number": lambda value: "–" if value is None else f"{value:.6g}",
        "columns": columns,
    }
    files.remember(folder / f"{template}.{form}.j2")
    return environment.get_template(f"{template}.{form}.j2").render(records, longest=LONGEST_TABLE)


def printable(value: Any) -> str:
    """The value as one line of printable characters: others, control characters among them, as escapes."""
    escape = "unicode_escape"
    return "".join(letter if letter.isprintable() else letter.encode(escape).decode() for letter in str(value))


def markdown(value: Any) -> str:
    """The value as text of a Markdown page, a cell of a table too: no markup, HTML, link, mention or formula."""
    return SPECIAL.sub(_entity, printable(value))


def _entity(match: re.Match) -> str:
    entity = f"&#{ord(match[0])};"
    return entity + INVISIBLE if match["reference"] else entity  # GitHub looks for references in rendered text


def _shortened(value: str | None) -> str:
    """A name or value in a cell of a table."""
    if value is None:
        return "–"
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of fixed-width columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
