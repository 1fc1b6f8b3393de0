"""The rules of the pipeline that a machine can check, each derived from the code and compared with dvc.yaml."""

import ast
import json
from pathlib import Path

import pytest
from project import ROOT
from ruamel.yaml import YAML

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
DYNAMIC = "stages/lib/architectures.py"  # imports a training script by the name of its model


def resolved() -> dict[str, dict]:
    """Stages by name as DVC sees them, the templates of `foreach` filled in."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        stages = {}
        for stage in repo.index.stages:
            names = {
                str(Path(dep.fs_path).relative_to(ROOT))
                for dep in stage.deps
                if dep.protocol == "local" and hasattr(dep, "fs_path")
            }
            declared = {key for dep in stage.deps for key in getattr(dep, "params", [])}
            stages[stage.name] = {"cmd": stage.cmd, "deps": names - {"params.yaml"}, "params": declared}
    return stages


STAGES = resolved()


def script(cmd: str) -> Path:
    module = cmd.split()[2]
    return Path(*module.split(".")).with_suffix(".py")


def imports(path: Path) -> set[Path]:
    """Project modules that a file imports itself, the packages they lie in included."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "stages":
            base = Path(*node.module.split("."))
            modules = [base / alias.name for alias in node.names] if (ROOT / base).is_dir() else [base]
            found |= {module.with_suffix(".py") for module in modules}
    return found


def closure(path: Path) -> set[Path]:
    """All project files that running a script can execute."""
    seen, pending = set(), {path, Path("stages/__init__.py")}
    while pending:
        file = pending.pop()
        seen.add(file)
        reached = imports(file)
        if str(file) == DYNAMIC:
            reached |= {p.relative_to(ROOT) for p in (ROOT / "stages/train").glob("*.py")}
        pending |= reached - seen
    return seen


def params_read(files: set[Path], model: str | None) -> set[str]:
    """The sections that params.load is called with; f"models.{name}" is the stage's own model."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "params.load":
                for argument in node.args:
                    found.add(f"models.{model}" if isinstance(argument, ast.JoinedStr) else ast.literal_eval(argument))
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_code_it_runs_and_no_other(name):
    stage = STAGES[name]
    run = closure(script(stage["cmd"]))
    declared = {Path(dep) for dep in stage["deps"] if dep.startswith("stages")}
    folders = {dep for dep in declared if dep.suffix != ".py"}
    assert folders <= {Path("stages/train")}
    for folder in folders:
        declared = declared - {folder} | {p.relative_to(ROOT) for p in (ROOT / folder).glob("*.py")}
    family = {Path(f"stages/lib/{name}.py") for name in ("cnn", "resnet")} if name.startswith("train@") else set()
    assert run <= declared <= run | family


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_params_it_reads_and_no_other(name):
    stage = STAGES[name]
    model = name.partition("@")[2] or None
    files = closure(script(stage["cmd"]))
    if not name.startswith("train@"):
        files -= {Path("stages/lib/training.py")}  # its `stage` is called by the training scripts alone
    assert stage["params"] == params_read(files, model)


def test_the_test_split_is_opened_by_evaluate_and_best_alone():
    readers = {name.partition("@")[0] for name, stage in STAGES.items() if "data/test.npz" in stage["deps"]}
    assert readers == {"evaluate", "best"}
    raw = {name for name, stage in STAGES.items() if "data/raw.npz" in stage["deps"]}
    assert raw == {"eda", "prepare"}


def test_code_that_opens_the_test_split_is_run_by_evaluate_and_best_alone():
    for name, stage in STAGES.items():
        calls = set()
        for file in closure(script(stage["cmd"])):
            for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    calls.add(ast.unparse(node.func))
        assert ("dataset.read_test" in calls) == (name.partition("@")[0] in {"evaluate", "best"}), name


def test_nothing_that_is_chosen_depends_on_test_scores():
    for name, stage in STAGES.items():
        if any(dep.startswith(("metrics/test", "data/predictions")) for dep in stage["deps"]):
            assert name == "report"


def test_a_training_script_trains_the_model_that_it_is_named_after():
    for path in (ROOT / "stages/train").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        (run,) = (call for call in calls if ast.unparse(call.func) == "errors.run")
        assert ast.unparse(run) == f"errors.run(training.stage, '{path.stem}', build)"


def test_every_param_is_described():
    """By a comment above it or above the mapping that it stands in; in a model's block, or in an earlier one."""
    described, path, comment = set(), [], False
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        text = line.lstrip()
        if text and not text.startswith("#"):
            path[(len(line) - len(text)) // 2 :] = [text.split(":")[0]]
            if comment:
                described.add(tuple(path))
        comment = text.startswith("#") and "----" not in text

    def leaves(section, path=()):
        for key, value in section.items():
            yield from leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]

    blocks = list(PARAMS["models"])
    for section, *key in leaves(PARAMS):
        places = [(section, *key)]
        if section == "models":
            places = [(section, block, *key[1:]) for block in blocks[: blocks.index(key[0]) + 1]]
        least = 3 if section == "models" else 2 if section in {"data", "tune"} else 1
        above = {place[:length] for place in places for length in range(least, len(place) + 1)}
        assert above & described, ".".join((section, *key))


def test_no_file_of_the_project_uses_pickle_or_a_backend_itself():
    """But for the fused batch norm and the way of batches into Model.fit, which other backends do without."""
    for file in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            refused = {"pickle", "joblib", "jax", "torch"}
            if file.stem not in {"batchnorm", "batches"}:
                refused.add("tensorflow")
            assert not {name.split(".")[0] for name in names} & refused, file


def test_the_readme_shows_the_committed_metrics_and_the_flags_of_the_real_study():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| Path ") :].split("\n\n")[0].splitlines()
    header, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table if "---" not in line)
    shown = {row[0]: {name: float(cell) for name, cell in zip(header[1:], row[1:], strict=True)} for row in rows}
    paths = [*(ROOT / "metrics/test").glob("*.json"), *(ROOT / "metrics/validation").glob("*.json")]
    assert {str(path.relative_to(ROOT)) for path in paths} == set(shown)
    for path in paths:
        assert json.loads(path.read_text()) == pytest.approx(shown[str(path.relative_to(ROOT))], rel=1e-4)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("cifar10: ")[1].split("\n\n")[0]
    flags = [word for word in recipe.split() if "=" in word]
    assert len(flags) == 10
    assert all(flag in readme for flag in flags)
