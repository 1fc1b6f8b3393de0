"""The rules of the pipeline that a machine can check, each derived from the code and compared with dvc.yaml."""

import ast
import json
import re

import declared
import project
import pytest
from project import ROOT
from ruamel.yaml import YAML

from study.params.schema import TRAINED_BY_BEST

PARAMS = project.params()
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SCRIPTS = sorted(path for path in (ROOT / "stages/train").glob("*.py") if path.stem != "__init__")
SOURCES = sorted(path for folder in ("stages", "study", "benchmarks", ".ci") for path in (ROOT / folder).rglob("*.py"))
REFUSED = {"cloudpickle", "dill", "jax", "joblib", "marshal", "pickle", "shelve", "torch"}


@pytest.fixture(scope="module")
def stages(recorded_run) -> dict[str, dict]:
    """The stages as DVC records them, with the templates of `foreach` filled in."""
    return project.lock(recorded_run)


@pytest.mark.slow
def test_a_stage_declares_the_params_that_its_code_loads_and_no_other(stages):
    assert {name: set(stage["params"]["params.yaml"]) for name, stage in stages.items()} == {
        name: declared.sections(name) for name in declared.code()
    }


@pytest.mark.parametrize(
    ("path", "readers"),
    [
        pytest.param(
            "data/test.npz", {"best", *(f"evaluate@{model}" for model in PARAMS["models"])}, id="the test split"
        ),
        pytest.param("data/raw.npz", {"eda", "prepare"}, id="the file that holds it before the split"),
    ],
)
def test_the_test_split_is_declared_by_the_stages_that_may_read_it_and_no_other(path, readers, stages):
    assert {name for name, stage in stages.items() if path in project.paths(stage, "deps")} == readers


def test_git_ignores_the_cached_outputs_of_models_that_do_not_exist_yet():
    """Without a line that DVC adds when the stage ends: it takes that back if a later one fails."""
    stages = [stage.get("do", stage) for stage in GRAPH.values()]
    paths = [out.replace("${key}", "another") for stage in stages for out in stage.get("outs", []) if type(out) is str]
    assert {"models/another.keras", "models/repeats/another.npz", "data/predictions/another.npz"} <= {*paths}
    assert project.shell(ROOT, "git", "check-ignore", "--no-index", *paths).stdout.splitlines() == paths


def test_nothing_that_is_chosen_depends_on_test_scores(stages):
    scores = {
        out
        for name, stage in stages.items()
        if name == "best" or name.startswith("evaluate@")
        for out in project.paths(stage, "outs")
    }
    assert {name for name, stage in stages.items() if project.paths(stage, "deps") & scores} == {"report"}


def test_nothing_depends_on_the_report(stages):
    outs = project.paths(stages["report"], "outs")
    assert {name for name, stage in stages.items() if project.paths(stage, "deps") & outs} == set()


@pytest.mark.parametrize("section", ["outs", "metrics", "plots"])
def test_best_declares_of_each_of_its_models_what_train_and_evaluate_declare_of_theirs(section):
    """So each model has the same files, and its plots have the same template, axes and title."""
    of_a_model = [entry for stage in ("train", "evaluate") for entry in GRAPH[stage]["do"].get(section, [])]
    assert GRAPH["best"][section] == [
        json.loads(json.dumps(entry).replace("${key}", model)) for model in TRAINED_BY_BEST for entry in of_a_model
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_training_script_trains_the_model_that_it_is_named_after(path):
    (run,) = declared.calls(path, "runtime.run")
    assert ast.unparse(run) == "runtime.run(stage.train, Path(__file__).stem, architecture)"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_imports_pickle_or_another_backend(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    assert {name.split(".")[0] for name in names} & REFUSED == set()


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "enable_unsafe_deserialization", "read_pickle", "system"}
UNSAFE = {"allow_pickle": True, "safe_mode": False, "shell": True}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_runs_text_or_lifts_a_lock(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            assert function.removeprefix("os.").removeprefix("keras.config.") not in RUNS_TEXT, ast.unparse(node)
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                assert keyword.arg not in UNSAFE or value == (not UNSAFE[keyword.arg]), ast.unparse(node)


@pytest.fixture(scope="module")
def params_of_models() -> dict[str, str]:
    """The list in the comment above the models: what it says of each param of a block."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"^#   (\w+) {2,}(.+(?:\n# {29}.+)*)", text[: text.index("\nmodels:")], flags=re.MULTILINE)
    assert len(dict(entries)) == len(entries)
    return dict(entries)


def test_the_params_of_models_are_listed_above_them_and_no_other(params_of_models):
    assert params_of_models.keys() == {key for block in PARAMS["models"].values() for key in block}


@pytest.mark.parametrize("model", PARAMS["models"])
def test_a_param_within_a_param_of_a_model_is_described_with_it(model, params_of_models):
    for key, *within in project.leaves(PARAMS["models"][model]):
        assert [part for part in within if part not in params_of_models[key]] == [], key


def test_every_other_param_is_described():
    """By a comment above it, or above the mapping that it stands in."""
    described, path, comment = set(), [], False
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        text = line.lstrip()
        if text and not text.startswith("#"):
            path[(len(line) - len(text)) // 2 :] = [text.split(":")[0]]
            if comment:
                described.add(tuple(path))
        comment = text.startswith("#") and "----" not in text
    for place in project.leaves({section: value for section, value in PARAMS.items() if section != "models"}):
        least = 2 if place[0] in {"data", "tune"} else 1
        assert {place[:length] for length in range(least, len(place) + 1)} & described, ".".join(place)


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("[!m]*.md")]  # docs/methods.md has formulas
PROVIDED = {"dvc", "git", "make", "python"}  # by the lock, and by what README says that you need
OF_THE_SHELL = {"cp", "curl", "mkdir", "source", "time"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_says_how_to_install_a_program_that_the_lock_lacks(page):
    text = page.read_text(encoding="utf-8")
    programs = set(
        re.findall(r"(?:`|^    )([a-z][\w.-]+) [^`\n]+", re.sub("```.*?```", "", text, flags=re.DOTALL), re.M)
    )
    others = programs - PROVIDED - OF_THE_SHELL - {"pip"}
    assert [program for program in others if not re.search(rf"install \[?{program}\b", text)] == []
