"""The values of a YAML text, by the parser with which DVC reads params.yaml."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from study.base.runtime import first_line

DEEPEST = 100  # levels of lists and mappings within each other; many thousand would crash the parser


class YamlError(ValueError):
    """A fault in the text: what it is, in one line, and in which line of the text, counted from 1, or None."""

    def __init__(self, reason: str, line: int | None = None):
        super().__init__(" ".join(reason.split()))
        self.line = line


def read(text: str, anchors: bool = False) -> Any:
    """Read one YAML document. As with DVC, a document that is empty or false is {}. Raises YamlError."""
    try:
        _check_events(text, anchors)
        return YAML(typ="safe").load(text) or {}
    except YamlError:
        raise
    except Exception as error:  # ruamel's own, and others that it lets through: ValueError for the date 2001-99-99
        problem = getattr(error, "problem", None) or first_line(error)
        problem = problem.partition(" with value ")[0]  # of a key given twice
        context, mark = getattr(error, "context", None), getattr(error, "problem_mark", None)
        raise YamlError(f"{context}, {problem}" if context else problem, mark and mark.line + 1) from None


def _check_events(text: str, anchors: bool) -> None:
    """Refuse what is nested too deep, and anchors unless they are wanted: a few aliases of aliases would stand for more
    values than fit into memory."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        line = event.start_mark.line + 1
        if not anchors and getattr(event, "anchor", None):
            raise YamlError("anchors (&) and aliases (*) are not allowed; repeat the value, or quote the text", line)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise YamlError(f"lists or mappings are nested more than {DEEPEST} levels deep", line)
