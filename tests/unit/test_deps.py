"""`python -m study deps`: dvc.yaml lists for each stage the packages that it imports, and no other."""

import shutil
import subprocess
import sys
from pathlib import Path

import pace
import pytest
from project import ROOT

from study.base.runtime import UserError
from study.commands import deps


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """The working folder: a copy of what the command reads."""
    for package in ("stages", "study"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def replace(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_committed_deps_are_complete(tree, capsys):
    deps.main()
    assert capsys.readouterr().out == "dvc.yaml: the deps of all stages are complete\n"


FAULTS = {
    "a package that is missing in the list": (
        ("dvc.yaml", "      - study/eda\n", ""),
        "dvc.yaml: the deps of the stage eda lack study/eda/eda_figures.py, ",
    ),
    "a script that is missing in the list": (
        ("dvc.yaml", "        - stages/train/${key}.py\n", ""),
        "dvc.yaml: the deps of the stage train@cnn2 lack stages/train/cnn2.py; ",
    ),
    "a package that is not needed": (
        ("dvc.yaml", "      - study/eda\n", "      - study/eda\n      - study/search\n"),
        "dvc.yaml: the deps of the stage eda name, but do not need, study/search; mend the list",
    ),
    "a package that cannot change an output": (
        ("dvc.yaml", "      - study/eda\n", "      - study/eda\n      - study/params\n"),
        "dvc.yaml: the deps of the stage eda name, but do not need, study/params; mend the list",
    ),
    "a stage of a module that does not exist": (
        ("dvc.yaml", "python -m stages.eda", "python -m stages.edo"),
        "dvc.yaml: a stage runs the module stages.edo, which does not exist",
    ),
    "a file of a model that is missing in the list": (
        ("dvc.yaml", "      - metrics/test/cnn2.json\n", ""),
        "params.yaml: models.cnn2 is not listed in dvc.yaml yet; add metrics/test/cnn2.json to the deps of report",
    ),
}


FAULTS_OF_LISTS = {
    "a stage of empty deps": (
        "  own:\n    cmd: python -m stages.eda\n    deps:\n",
        "'./dvc.yaml' validation failed: expected a list for dictionary value @ data['stages']['own']['deps']",
    ),
    "a variable that does not exist": (
        "  own:\n    cmd: python -m stages.eda\n    deps:\n      - ${nothing}/base\n",
        "failed to parse 'stages.own.deps' in 'dvc.yaml': Could not find 'nothing'",
    ),
    "a foreach over a list": (
        "  own:\n    foreach: [eda]\n    do:\n      cmd: python -m stages.${item}\n      deps: [study]\n",
        "dvc.yaml: the deps of the stage own@eda lack stages/eda.py; mend the list",
    ),
    "a matrix": (
        "  own:\n    matrix:\n      stage: [eda]\n    cmd: python -m stages.${item.stage}\n    deps: [study]\n",
        "dvc.yaml: the deps of the stage own@eda lack stages/eda.py; mend the list",
    ),
    "the second of two commands": (
        "  own:\n    cmd: [python -m stages.eda, python -m stages.prepare]\n    deps: [study, stages/eda.py]\n",
        "dvc.yaml: the deps of the stage own lack stages/prepare.py; mend the list",
    ),
    "another working folder": (
        "  own:\n    wdir: stages\n    cmd: python -m stages.eda\n    deps: [../study]\n",
        "dvc.yaml: the deps of the stage own lack stages/eda.py; mend the list",
    ),
}
FAULTS |= {name: (("dvc.yaml", "stages:\n", f"stages:\n{own}"), line) for name, (own, line) in FAULTS_OF_LISTS.items()}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_in_one_line(tree, change, message):
    replace(*change)
    with pytest.raises(UserError) as error:
        deps.main()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_variables_and_a_matrix_are_read_as_dvc_reads_them(tree, capsys):
    Path("own.yaml").write_text("code: study\n")
    text = Path("dvc.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("stages:\n", "vars:\n  - own.yaml\n  - scores: metrics/test\nstages:\n"),
        ("- study/", "- ${code}/"),
        ("- metrics/test/cnn", "- ${scores}/cnn"),
        ("    foreach: ${models}\n    do:\n      desc: Score", "    matrix:\n      model: [cnn2]\n    desc: Score"),
    ):
        assert old in text
        text = text.replace(old, new)
    head, _, rest = text.partition("    desc: Score")
    block, _, tail = rest.partition("\n\n")
    block = block.replace("\n      ", "\n    ").replace("${key}", "${item.model}")
    Path("dvc.yaml").write_text(f"{head}    desc: Score{block}\n\n{tail}", encoding="utf-8")
    deps.main()
    assert capsys.readouterr().out == "dvc.yaml: the deps of all stages are complete\n"


LATE = "def late():\n    import study.sources.synthetic as drawn\n    return drawn"
FAULTS_OF_CODE = {
    "an import from another package": (
        "from study.sources.synthetic import draw",
        "dvc.yaml: the deps of the stage eda lack study/sources/synthetic.py; mend the list",
    ),
    "an import within a function": (
        LATE,
        "dvc.yaml: the deps of the stage eda lack study/sources/synthetic.py; mend the list",
    ),
    "a syntax error": ("import import", "Syntax error in "),
}


@pytest.mark.parametrize(("statement", "message"), FAULTS_OF_CODE.values(), ids=FAULTS_OF_CODE)
def test_a_fault_of_the_code_ends_the_command_with_one_line(tree, statement, message):
    """In a process of its own: grimp looks for packages at the place from which they are imported already."""
    replace("study/cleaning/duplicates.py", "\nimport ", f"\n{statement}\nimport ")
    command = [sys.executable, "-B", "-m", "study", "deps"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=pace.seconds(100), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_copies_that_jupyter_keeps_are_no_code(tree):
    Path("study/data/.ipynb_checkpoints").mkdir()
    Path("study/data/.ipynb_checkpoints/arrays-checkpoint.py").touch()
    deps.main()


def test_a_folder_without_an_init_is_named(tree):
    Path("study/data/__init__.py").unlink()
    with pytest.raises(UserError, match=r"^study/data has no __init__\.py; add one"):
        deps.main()


@pytest.mark.parametrize("stage", ["tune", "best"])
def test_a_search_depends_on_the_scripts_of_all_models(stage, params, monkeypatch):
    monkeypatch.chdir(ROOT)
    scripts = {f"stages/train/{model}.py" for model in params.models}
    assert scripts <= deps.code(f"stages.{stage}", deps.import_graph(params.models))


def test_a_training_stage_depends_on_its_own_script_and_on_its_own_family(params, monkeypatch):
    monkeypatch.chdir(ROOT)
    files = deps.code("stages.train.cnn2", deps.import_graph(params.models))
    assert {file for file in files if file.startswith("stages/")} == {"stages/train/cnn2.py"}
    assert not [file for file in files if file.startswith("study/models/resnet")]
