"""One line for each fault of params.yaml: the key, the value found, what is allowed."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from study.base.runtime import without_secrets

LONGEST = 80  # characters of a value that are shown


def fault(error: ValidationError, raw: dict) -> str:
    """One line for the most telling of the faults in `raw`: an unknown key before the missing one that it may be."""
    faults = sorted(error.errors(), key=lambda fault: fault["type"] == "missing")
    first = faults[0]
    key, siblings = _place(first["loc"], raw, first["type"] == "missing")
    match first["type"]:
        case "extra_forbidden":
            unknown = first["loc"][-1]
            known = {other["loc"][-1] for other in faults if other["type"] == "missing"} | set(siblings)
            return f"{key} is not a known key{suggestion(str(unknown), known - {unknown})}"
        case "missing":
            return f"{key} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            tag = first["ctx"]["discriminator"].strip("'")
            value = shown(first["ctx"]["tag"]) if "tag" in first["ctx"] else "missing"
            return f"{key}.{tag} is {value}; allowed: {first['ctx'].get('expected_tags', 'see the comments there')}"
        case "value_error" if not allowed(first).startswith("allowed"):  # a rule that names the param in its section
            return f"{key}.{allowed(first)}" if key else allowed(first)
    return f"{key} is {shown(first['input'])}; {allowed(first)}"


class _Short(reprlib.Repr):
    """Leaves secrets out of URLs before it shortens them."""

    def repr_str(self, text: str, level: int) -> str:
        return super().repr_str(without_secrets(text), level)


def shown(value: Any) -> str:
    """The value in at most LONGEST characters, however deep or long it is."""
    short = _Short()
    short.maxlevel = 3
    short.maxstring = short.maxlong = short.maxother = LONGEST
    try:
        text = short.repr(value)
    except ValueError:  # more digits than Python prints
        return "a number too long to show"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def allowed(fault: dict) -> str:
    """Pydantic's sentence on what is allowed."""
    return fault["msg"].removeprefix("Value error, ").replace("\n", " ").replace("Input should", "allowed: it should")


def suggestion(key: str, known: Iterable) -> str:
    """`; did you mean KEY?`, if a known key is close."""
    close = difflib.get_close_matches(key, [str(name) for name in known], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _place(loc: tuple, raw: Any, missing: bool) -> tuple[str, list[str]]:
    """The dotted key of a fault, without the names of union members that pydantic adds, and the keys beside it.

    The last part of a missing key is in `loc` alone.
    """
    parts, siblings = [], []
    for index, part in enumerate(loc):
        known = (isinstance(raw, dict) and part in raw) or (isinstance(raw, list) and isinstance(part, int))
        if known or (missing and index == len(loc) - 1 and isinstance(raw, dict)):
            siblings = list(map(str, raw)) if isinstance(raw, dict) else []
            parts.append(str(part))
            raw = raw[part] if known else None
    return ".".join(parts), siblings
