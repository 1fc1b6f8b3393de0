"""The graph of the stages for README.md, as Mermaid, which GitHub draws."""

import re
from itertools import product
from pathlib import PurePath
from typing import Any

from study import files
from study.params import load
from study.runtime import UserError

README = "README.md"
START, END = "<!-- graph -->", "<!-- /graph -->"


def main(check: bool) -> None:
    """Renew the graph in README.md; with `check`, raise UserError where it differs, and write nothing."""
    params = load.read_yaml(load.FILE)
    load.parse(params)
    before = load.read_text(README)
    after = updated(before, mermaid(load.read_yaml(load.GRAPH), params))
    if before == after:
        print(f"{README}: the graph is up to date")
    elif check:
        raise UserError(f"{README}: the graph differs from {load.GRAPH}; run `python -m study graph`")
    else:
        files.write_text(README, after)
        print(f"{README}: renewed the graph")


def updated(readme: str, graph: str) -> str:
    """The text with the graph between its two markers. Raises UserError where a marker is missing or out of order."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise UserError(f"{README}: the graph needs a line {START} and, below it, a line {END}")
    return f"{before}{START}\n```mermaid\n{graph}\n```\n{END}{after}"


def mermaid(pipeline: dict, params: dict) -> str:
    """A flowchart of the stages: an arrow from each stage to every stage that reads what it writes.

    The stages of a `foreach` are one node, with their number. Raises UserError where dvc.yaml uses a param that
    params.yaml does not have.
    """
    nodes, reads, writes = [], {}, {}
    for name, stage in pipeline.get("stages", {}).items():
        if not isinstance(stage, dict):
            raise UserError(f"{load.GRAPH}: the stage {name} is no mapping")
        copies = _copies(stage, params)
        nodes.append(f'{name}["{name}@… × {len(copies)}"]' if "foreach" in stage else name)
        reads[name] = {path for copy in copies for path in _paths(*copy, "deps")}
        writes[name] = {path for copy in copies for path in _paths(*copy, "outs", "metrics", "plots")}
    arrows = [
        f"{writer} --> {reader}"
        for writer, reader in product(writes, reads)
        if any(_overlap(out, dep) for out, dep in product(writes[writer], reads[reader]))
    ]
    return "\n    ".join(["flowchart TD", *nodes, *arrows])


def _copies(stage: dict, params: dict) -> list[tuple[dict, dict]]:
    """The stage and the values that its `${…}` may name; with `foreach`, once per item."""
    if "foreach" not in stage:
        return [(stage, params)]
    items = stage["foreach"]
    if isinstance(items, str):
        items = _value(items.strip("${}"), params)
    if not isinstance(items, dict | list):
        raise UserError(f"{load.GRAPH}: a foreach is neither a mapping nor a list")
    pairs = items.items() if isinstance(items, dict) else enumerate(items)
    return [(stage["do"], params | {"key": key, "item": item}) for key, item in pairs]


def _paths(stage: dict, values: dict, *sections: str) -> set[str]:
    """The paths in these lists of a stage. An entry is a path, or a mapping of one path to its options."""
    entries = [entry for section in sections for entry in stage.get(section, [])]
    paths = [path for entry in entries for path in (entry if isinstance(entry, dict) else [entry])]
    return {re.sub(r"\$\{([\w.]+)\}", lambda name: str(_value(name[1], values)), path) for path in paths}


def _value(name: str, values: dict) -> Any:
    value = values
    try:
        for key in name.split("."):
            value = value[key]
    except (KeyError, TypeError):
        raise UserError(f"{load.GRAPH}: ${{{name}}} is no value of {load.FILE}") from None
    return value


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is a folder around the other."""
    return PurePath(one).is_relative_to(other) or PurePath(other).is_relative_to(one)
