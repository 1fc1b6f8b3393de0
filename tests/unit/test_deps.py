"""dvc.yaml lists what each stage depends on, as the imports have it."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from study.commands import deps
from study.params import reader

ROOT = Path(__file__).resolve().parents[2]
SMALL = """\
# A comment above all
stages:
  copy:
    cmd: cp a.txt b.txt
    deps: [a.txt, stages/old.py]   # not in block style, not in order

  tune:
    cmd: python -m stages.tune
    # A comment above the list
    deps:
      - data/prepared.npz  # a comment beside a line
      # A comment within the list
      - metrics/validation/dropped.json
      - stages/old.py
    # A comment below the list
    params: {}

  added:
    cmd: python -m stages.added
    deps:
"""
RENEWED = """\
# A comment above all
stages:
  copy:
    cmd: cp a.txt b.txt
    deps: [a.txt, stages/old.py]   # not in block style, not in order

  tune:
    cmd: python -m stages.tune
    # A comment above the list
    deps:
      - data/prepared.npz  # a comment beside a line
      # A comment within the list
      - metrics/validation/one.json
      - metrics/validation/two.json
      - stages/tune.py
    # A comment below the list
    params: {}

  added:
    cmd: python -m stages.added
    deps:
      - stages/added.py
"""
IMPORTS = {
    "from": "from study.data import synthetic",
    "from a name": "from study.data.synthetic import draw",
    "dotted": "import study.sources.synthetic",
    "in a function": "def late():\n    import study.sources.synthetic as drawn\n    return drawn",
}


def renewed(text: str) -> str:
    """The text with deps as they were if each script imported nothing."""
    return deps.updated(text, {"two": "cnn", "one": "cnn"}, lambda module: {module.replace(".", "/") + ".py"})


def study(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-B", "-m", "study", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def deps_of(folder: Path, stage: str) -> list[str]:
    declared = reader.read((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    return declared.get("do", declared)["deps"]


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of what `python -m study deps` works on."""
    for package in ("stages", "study"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def new_model(tree) -> Path:
    """A tree whose params.yaml has the model `added`, without a script."""
    params = tree / "params.yaml"
    text = params.read_text(encoding="utf-8")
    block = text[text.index("  cnn2_dropout:") : text.index("  cnn3_dropout:")]
    params.write_text(
        text.replace("models:\n", "models:\n" + block.replace("cnn2_dropout", "added"), 1), encoding="utf-8"
    )
    return tree


def test_comments_and_stages_of_other_commands_keep_their_bytes():
    assert renewed(SMALL) == RENEWED


def test_a_second_renewal_changes_nothing():
    assert renewed(RENEWED) == RENEWED


def test_a_new_model_adds_its_lines_and_no_other(new_model):
    shutil.copy(new_model / "stages/train/cnn2.py", new_model / "stages/train/added.py")
    assert study(new_model, "deps").stdout == "dvc.yaml: renewed the deps of tune, best, report\n"
    added = {
        "tune": ["metrics/validation/added.json", "stages/train/added.py"],
        "best": ["stages/train/added.py"],
        "report": ["metrics/validation/added.json", "metrics/test/added.json", "metrics/images/added.csv"],
    }
    for stage, lines in added.items():
        assert Counter(deps_of(new_model, stage)) == Counter(deps_of(ROOT, stage) + lines)


def test_a_model_without_a_script_ends_the_command_with_one_line(new_model):
    done = study(new_model, "deps")
    reason = "models.added has no script stages/train/added.py; write it, or remove the block"
    assert (done.returncode, done.stderr) == (1, f"error: params.yaml: {reason}\n")


def test_check_names_the_stages_that_differ_and_writes_nothing(tree):
    pipeline = tree / "dvc.yaml"
    before = pipeline.read_text(encoding="utf-8").replace("      - study/eda/figures.py\n", "")
    pipeline.write_text(before, encoding="utf-8")
    done = study(tree, "deps", "--check")
    reason = "the deps of eda are not up to date; run `python -m study deps`"
    assert (done.returncode, done.stderr) == (1, f"error: dvc.yaml: {reason}\n")
    assert pipeline.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_a_new_import_adds_its_module(tree, statement):
    with (tree / "study/cleaning/duplicates.py").open("a", encoding="utf-8") as module:
        module.write(f"\n\n{statement}\n")
    assert study(tree, "deps").returncode == 0
    assert set(deps_of(tree, "prepare")) - set(deps_of(ROOT, "prepare")) == {"study/sources/synthetic.py"}


def test_an_init_is_listed_once_it_holds_a_statement(tree):
    assert not [path for path in deps_of(ROOT, "eda") if path == "study/data/__init__.py"]
    with (tree / "study/data/__init__.py").open("a", encoding="utf-8") as module:
        module.write("\nLIMIT = 1\n")
    assert study(tree, "deps").returncode == 0
    assert set(deps_of(tree, "eda")) - set(deps_of(ROOT, "eda")) == {"study/data/__init__.py"}


def test_a_folder_without_init_ends_the_command_with_one_line(tree):
    (tree / "study/data/__init__.py").unlink()
    done = study(tree, "deps")
    assert done.returncode == 1
    assert done.stderr.startswith("error: study/data has no __init__.py; add one")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stage", ["tune", "best"])
def test_a_stage_that_imports_scripts_by_name_depends_on_all_of_them(stage):
    scripts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "stages/train").glob("[!_]*.py")}
    assert scripts <= set(deps_of(ROOT, stage))


def test_a_training_stage_depends_on_its_own_script_and_the_builder_of_its_family_only():
    own = {path for path in deps_of(ROOT, "train") if path.startswith("stages/train/") or path.endswith("build.py")}
    assert own == {"stages/train/${key}.py", "study/models/${item.family}/build.py"}


def test_the_report_depends_on_the_templates_of_its_files_and_not_of_what_is_printed():
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "study/review/templates").glob("*.j2")}
    assert {path for path in deps_of(ROOT, "report") if path.endswith(".j2")} == templates


def test_no_stage_depends_on_a_folder():
    pipeline = reader.read((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    paths = {path for stage in pipeline["stages"] for path in deps_of(ROOT, stage)}
    assert {path for path in paths if not Path(path).suffix} == set()


def test_the_committed_deps_are_up_to_date():
    done = study(ROOT, "deps", "--check")
    assert done.returncode == 0, done.stderr


def test_the_committed_imports_keep_their_contracts():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
