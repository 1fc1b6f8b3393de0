"""Does dvc.yaml list, for each stage, all code that can change an output, and nothing else?

A stage lists its script and packages, which are folders of study. What it runs is read from the import statements, by
grimp; no stage and no Keras is imported.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import grimp

from study.base.inputs import NO_DEPS, PROJECT
from study.base.runtime import UserError
from study.params import load

COMMAND = re.compile(r"python -m (stages\.[\w.]+)")
SCRIPTS = "study.models.common.scripts"  # imports the scripts of all models, by their names


def main() -> None:
    """Raise UserError for the first stage whose deps lack code or a model's file, or name code that it does not run."""
    stages = pipeline()
    params = load.parse(load.read_yaml(load.FILE))
    load.check_models(params)
    graph = import_graph(params.models)
    for name, commands, listed in stages:
        if not (modules := COMMAND.findall(commands)):
            print(f"{load.GRAPH}: the stage {name} runs no module of stages and is not checked")
            continue
        deps = {path for path in listed if lies_in(path, PROJECT)}
        needed = set().union(*(code(module, graph) for module in modules))
        lacking = {file for file in needed if not lies_in(file, deps)}
        unused = {dep for dep in deps if not any(lies_in(file, [dep]) for file in needed)}
        for paths, verb in ((lacking, "lack"), (unused, "name, but do not need,")):
            if paths:
                names = ", ".join(sorted(paths))
                raise UserError(f"{load.GRAPH}: the deps of the stage {name} {verb} {names}; mend the list")
    print(f"{load.GRAPH}: the deps of all stages are complete")


def import_graph(models: Iterable[str], without: Iterable[str] = NO_DEPS) -> grimp.ImportGraph:
    """The imports between all modules but those of some packages.

    Raises UserError for a syntax error, and for a folder that is no package: grimp sees no module in it.
    """
    for path in (path for folder in PROJECT for path in Path(folder).rglob("*.py")):
        if not path.with_name("__init__.py").is_file() and not path.parent.name.startswith("."):  # .ipynb_checkpoints
            raise UserError(f"{path.parent} has no __init__.py; add one, so that imports of {path.name} are seen")
    try:
        graph = grimp.build_graph(*PROJECT, exclude_type_checking_imports=True, cache_dir=None)
    except grimp.exceptions.SourceSyntaxError as error:
        raise UserError(str(error)) from None
    for model in models:
        graph.add_import(importer=SCRIPTS, imported=f"stages.train.{model}")
    for package in without:
        for module in (package, *graph.find_descendants(package)):
            graph.remove_module(module)
    return graph


def pipeline() -> list[tuple[str, str, list[str]]]:
    """Name, commands and deps of all stages, as DVC reads them. Raises UserError in DVC's words if it cannot."""
    load.read_stages()  # which names the line of a fault of YAML, a conflict or a pointer
    from dvc.exceptions import DvcException  # takes half a second, which other commands do without
    from dvc.repo import Repo

    try:
        with Repo(uninitialized=True) as repo:  # asks neither for git nor for a cache
            return [
                (stage.addressing, str(stage.cmd), [os.path.relpath(dep.fs_path) for dep in stage.deps])
                for stage in repo.stage.load_all(load.GRAPH)
            ]
    except DvcException as error:
        raise UserError(": ".join(filter(None, [str(error), str(error.__cause__ or "")]))) from None


def code(module: str, graph: grimp.ImportGraph) -> set[str]:
    """The files that can change what a module writes: its own and those that it imports, directly or not."""
    if module not in graph.modules:
        raise UserError(f"{load.GRAPH}: a stage runs the module {module}, which does not exist")
    return {file_of(each) for each in {module, *graph.find_upstream_modules(module)}}


def file_of(module: str) -> str:
    path = Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).as_posix()


def lies_in(file: str, paths: Iterable[str]) -> bool:
    """Whether the file is one of the paths, or lies in a folder that is."""
    return not {file, *map(str, Path(file).parents)}.isdisjoint(paths)
