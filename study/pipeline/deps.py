"""What each stage depends on, written into dvc.yaml and export/dvc.yaml from the import graph.

A `deps:` list of these files has two parts. The author writes the first: data, models, metrics. This module writes the
second and replaces it each time: one line per file of a model, by the table PER_MODEL, then the code, lines that start
with `- stages/` or `- study/`. Imports are read from the source text, by grimp; no stage and no Keras is imported.
"""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import grimp
import yaml

from study import files
from study.params import load
from study.params.schema import TRAINED_BY_BEST
from study.runtime import UserError

PACKAGES = ("stages", "study")
EXPORT = "export/dvc.yaml"
SCRIPTS = "stages/train/{model}.py"
# What a module uses without an import statement: scripts that it imports by name, files that it reads.
UNSEEN = {
    "study.models.scripts": SCRIPTS,
    "study.review.words": "study/review/templates/*.md.j2",
}
# Files that a stage reads, one per model of params.yaml. Those of `best` and `control` are the author's lines.
PER_MODEL = {
    "tune": ("metrics/validation/{model}.json",),
    "report": ("metrics/validation/{model}.json", "metrics/test/{model}.json", "metrics/images/{model}.csv"),
}
# Modules that not all training stages share, as `foreach: ${models}` names them. One without such a name is listed for
# all models where any of them imports it.
OWN = ("stages/train/${key}.py", "study/models/${item.family}/build.py")
SCRIPT = re.compile(r"python -m (stages\.[\w.${}]+)")


@dataclass(frozen=True)
class Stage:
    """A stage that runs a module of `stages`, and where its deps stand: lines start to stop - 1 of dvc.yaml, from 0."""

    name: str
    modules: list[str]
    start: int
    stop: int
    indent: int


class Code:
    """The import graph of PACKAGES, and the models whose scripts are imported by name.

    Raises UserError for a syntax error, and for a folder that is no package: grimp sees no module in it.
    """

    def __init__(self, models: Iterable[str]):
        self.models = models
        for path in (path for package in PACKAGES for path in Path(package).rglob("*.py")):
            hook = path.name == "sitecustomize.py"  # Python imports it from the folder itself
            if not hook and not path.with_name("__init__.py").is_file():
                raise UserError(f"{path.parent} has no __init__.py; add one, so that imports of {path.name} are seen")
        try:
            self.graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
        except grimp.exceptions.SourceSyntaxError as error:
            raise UserError(str(error)) from None

    def files(self, module: str) -> set[str]:
        """The files that running a module executes or reads.

        They are the module, what it imports anywhere in its text, what UNSEEN adds, the packages around each, and so on
        from there; but for files of a docstring alone. Raises UserError where the module does not exist.
        """
        found, seen, pending = set(), set(), {module}
        while pending:
            module = pending.pop()
            if module not in self.graph.modules:
                raise UserError(f"{load.GRAPH}: a stage runs the module {module}, which does not exist")
            seen.add(module)
            if not _only_describes(_file(module)):
                found.add(_file(module))
            unseen = self._unseen(module)
            found |= unseen
            reached = self.graph.find_modules_directly_imported_by(module)
            reached |= {_module(file) for file in unseen if file.endswith(".py")}
            if "." in module:
                reached.add(module.rpartition(".")[0])
            pending |= reached - seen
        return found

    def _unseen(self, module: str) -> set[str]:
        patterns = {UNSEEN[module].format(model=model) for model in self.models} if module in UNSEEN else set()
        return {path.as_posix() for pattern in patterns for path in Path().glob(pattern)}


def main(check: bool) -> None:
    """Renew the deps in dvc.yaml and export/dvc.yaml; with `check`, raise UserError where they differ, and write
    nothing."""
    models = read_models()
    files_of = Code(models).files
    for graph in (load.GRAPH, EXPORT):
        if graph == load.GRAPH or Path(graph).is_file():
            _renew(graph, check, models, files_of)


def _renew(graph: str, check: bool, models: dict[str, str], files_of: Callable[[str], set[str]]) -> None:
    load.read_yaml(graph)  # its faults are told as everywhere
    before = load.read_text(graph)
    after = updated(before, models, files_of)
    changed = ", ".join(differing(before, after))
    if not changed:
        print(f"{graph}: all deps are up to date")
    elif check:
        raise UserError(f"{graph}: the deps of {changed} are not up to date; run `python -m study deps`")
    else:
        files.write_text(graph, after)
        print(f"{graph}: renewed the deps of {changed}")


def read_models() -> dict[str, str]:
    """The family of each model of params.yaml. Raises UserError for a fault in it or a model without a script."""
    params = load.parse(load.read_yaml(load.FILE))
    load.check_scripts(params)
    return {name: block.family for name, block in params.models.items()}


def updated(text: str, models: dict[str, str], files_of: Callable[[str], set[str]]) -> str:
    """The text of dvc.yaml with all deps renewed; everything else keeps its bytes.

    `models` gives the family of each model, `files_of` the files behind a module (`Code.files`).
    """
    lines = text.split("\n")
    for stage in reversed(stages(text)):
        patterns = PER_MODEL.get(stage.name, ())
        kept = [line for line in lines[stage.start : stage.stop] if not _is_generated(line, patterns)]
        of_models = [pattern.format(model=model) for pattern in patterns for model in sorted(models)]
        code = {file for module in stage.modules for file in _code(module, models, files_of)}
        generated = [f"{' ' * stage.indent}- {path}" for path in [*of_models, *sorted(code)]]
        lines[stage.start : stage.stop] = kept + generated
    return "\n".join(lines)


def differing(before: str, after: str) -> list[str]:
    """The stages whose deps are written differently in two texts of dvc.yaml."""

    def lists(text: str) -> dict[str, list[str]]:
        return {stage.name: text.split("\n")[stage.start : stage.stop] for stage in stages(text)}

    old, new = lists(before), lists(after)
    return [name for name in new if old[name] != new[name]]


def stages(text: str) -> list[Stage]:
    """The stages of dvc.yaml that run a module of `stages`. Raises UserError where one has no block list of deps."""
    try:
        document = _entries(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UserError(f"{load.GRAPH}: is not valid YAML ({error})") from None
    found = []
    for key, node in _entries(document.get("stages")).items():
        stage = _entries(node)
        stage = _entries(stage["do"]) if "do" in stage else stage
        cmd = stage.get("cmd")
        modules = SCRIPT.findall(text[cmd.start_mark.index : cmd.end_mark.index]) if cmd else []
        if modules:
            found.append(Stage(key, modules, *_place(key, stage.get("deps"), text.split("\n"))))
    return found


def _place(name: str, deps: yaml.Node | None, lines: list[str]) -> tuple[int, int, int]:
    """Start, stop and indent of a list of deps."""
    if isinstance(deps, yaml.ScalarNode) and not deps.value:  # `deps:` with nothing below
        line = deps.start_mark.line
        return line + 1, line + 1, len(lines[line]) - len(lines[line].lstrip()) + 2
    if not isinstance(deps, yaml.SequenceNode) or deps.flow_style or not deps.value:
        raise UserError(f"{load.GRAPH}: the stage {name} needs `deps:` as a list with one line per path")
    return deps.start_mark.line, deps.value[-1].end_mark.line + 1, deps.start_mark.column


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The values of a mapping by key; none, where the node is something else."""
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _is_generated(line: str, patterns: tuple[str, ...]) -> bool:
    """Whether `updated` writes this line of a list: code, or a file of a model by one of the patterns."""
    line = line.strip()
    own = rf"(?!(?:{'|'.join(TRAINED_BY_BEST)})\.)\w+"
    return line.startswith(("- stages/", "- study/")) or any(
        re.fullmatch("- " + re.escape(pattern).replace(r"\{model\}", own), line) for pattern in patterns
    )


def _code(module: str, models: dict[str, str], files_of: Callable[[str], set[str]]) -> set[str]:
    """The files behind a module; where its name holds `${key}`, those of all models, with the templates of OWN."""
    if "${key}" not in module:
        return files_of(module)
    found = set()
    for name, family in models.items():
        own = {path.replace("${key}", name).replace("${item.family}", family): path for path in OWN}
        found |= {own.get(file, file) for file in files_of(module.replace("${key}", name))}
    return found


def _file(module: str) -> str:
    path = Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).as_posix()


def _only_describes(file: str) -> bool:
    """Whether a module has a docstring and no statement, as most packages' __init__.py: it changes no result."""
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def _module(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts)
