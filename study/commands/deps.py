"""Does dvc.yaml list, for each stage, all code that can change an output, and nothing else?

A stage lists its script and packages, which are folders of study. What it runs is read from the import statements, by
grimp; no stage and no Keras is imported.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

from study.base.runtime import UserError
from study.params import load

# Packages that cannot change an output, and why. What only they import cannot, either.
NO_DEPS = {
    "stages": "prepares the process",
    "study.cluster": "runs the same training runs elsewhere",
    "study.compare": "prints what changed since HEAD, and writes nothing",
    "study.display": "shows running work",
    "study.params": "checks params.yaml, whose values each stage declares",
}
SCRIPTS = "study.models.common.scripts"  # imports the scripts of all models, by their names
COMMAND = re.compile(r"python -m (stages\.[\w.]+)")
# Files that a stage reads, one per model of params.yaml.
PER_MODEL = {
    "tune": ("metrics/validation/{model}.json",),
    "report": ("metrics/validation/{model}.json", "metrics/test/{model}.json", "metrics/images/{model}.csv"),
}


def main() -> None:
    """Raise UserError for the first stage whose deps lack code or a model's file, or name code that it does not run."""
    params = load.parse(load.read_yaml(load.FILE))
    load.check_scripts(params)
    graph = import_graph()
    families = {name: block.family for name, block in params.models.items()}
    stages = load.read_yaml(load.GRAPH)["stages"]
    for name, module, deps in runs(stages, families):
        listed = {dep for dep in deps if dep.startswith(("stages/", "study/"))}
        needed = {file_of(each, graph) for each in code(module, graph, families)}
        lacking = sorted(file for file in needed if not any(_is_in(file, dep) for dep in listed))
        unused = sorted(dep for dep in listed if not any(_is_in(file, dep) for file in needed))
        lacking += [path for path in per_model(name, families) if path not in deps]
        for paths, verb in ((lacking, "lack"), (unused, "name, but do not need,")):
            if paths:
                raise UserError(f"{load.GRAPH}: the deps of the stage {name} {verb} {', '.join(paths)}; mend the list")
    print(f"{load.GRAPH}: the deps of all stages are complete")


def import_graph() -> grimp.ImportGraph:
    """Raises UserError for a syntax error, and for a folder that is no package: grimp sees no module in it."""
    for path in (path for folder in ("stages", "study") for path in Path(folder).rglob("*.py")):
        if not path.with_name("__init__.py").is_file():
            raise UserError(f"{path.parent} has no __init__.py; add one, so that imports of {path.name} are seen")
    try:
        return grimp.build_graph("stages", "study", exclude_type_checking_imports=True, cache_dir=None)
    except grimp.exceptions.SourceSyntaxError as error:
        raise UserError(str(error)) from None


def runs(stages: dict, families: dict[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    """The name, module and deps of each stage that runs a module of `stages`; those of a `foreach` once per model."""
    for name, stage in stages.items():
        copies = [(name, stage, {})]
        if "foreach" in stage:
            copies = [
                (f"{name}@{model}", stage["do"], {"key": model, "item.family": family})
                for model, family in families.items()
            ]
        for title, copy, values in copies:
            command, *deps = (
                re.sub(r"\$\{([\w.]+)\}", lambda key, values=values: values.get(key[1], key[0]), text)
                for text in [copy["cmd"], *copy.get("deps", [])]
            )
            if match := COMMAND.match(command):
                yield title, match[1], deps


def code(module: str, graph: grimp.ImportGraph, models: Iterable[str]) -> set[str]:
    """The modules that can change what a module writes: itself and what it imports, directly or not."""
    found, pending = set(), {module}
    while pending:
        module = pending.pop()
        if module not in graph.modules:
            raise UserError(f"{load.GRAPH}: a stage runs the module {module}, which does not exist")
        found.add(module)
        reached = graph.find_modules_directly_imported_by(module)
        if module == SCRIPTS:
            reached |= {f"stages.train.{model}" for model in models}
        pending |= {each for each in reached if not is_no_dep(each)} - found
    return found


def is_no_dep(module: str) -> bool:
    return module in NO_DEPS or module.rpartition(".")[0] in NO_DEPS.keys() - {"stages"}


def per_model(stage: str, models: Iterable[str]) -> list[str]:
    return [pattern.format(model=model) for pattern in PER_MODEL.get(stage, ()) for model in models]


def file_of(module: str, graph: grimp.ImportGraph) -> str:
    path = Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).as_posix()


def _is_in(file: str, dep: str) -> bool:
    return file == dep or Path(dep) in Path(file).parents
