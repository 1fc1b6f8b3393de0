"""What each stage of dvc.yaml runs and asks for, by the text of its code."""

import ast
from contextlib import chdir
from functools import cache
from pathlib import Path

from project import ROOT

from study.commands import deps
from study.params import load

LOADING = "from study.params.load import load\n"
# Its function `train`, which loads params, is called by training scripts only; `best` calls others of its functions.
TRAINING = "study/training/stage.py"


@cache
def code(without: tuple[str, ...] = tuple(deps.NO_DEPS)) -> dict[str, frozenset[str]]:
    """The files that a stage imports, by stage, and not only through these packages; `foreach` is filled in."""
    with chdir(ROOT):
        params = load.parse(load.read_yaml("params.yaml"))
        graph = deps.import_graph(params.models, without)
        return {name: frozenset(deps.code(command.split()[2], graph)) for name, command, _ in deps.pipeline()}


def sections(name: str) -> set[str]:
    """The sections of params.yaml that the code of a stage gives to `load`."""
    stage, _, model = name.partition("@")
    called = code()[name] - (set() if stage == "train" else {TRAINING})
    return {
        f"models.{model}" if isinstance(argument, ast.JoinedStr) else ast.literal_eval(argument)
        for file in called
        if LOADING in (ROOT / file).read_text(encoding="utf-8")
        for call in calls(ROOT / file, "load")
        for argument in call.args
    }


def calls(path: Path, function: str) -> list[ast.Call]:
    """The calls of a function, as its name is written, in a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == function]
