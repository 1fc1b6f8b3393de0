"""Staleness is honest: a stage is stale exactly when something has changed that can change its outputs."""

import ast
import contextlib
import functools
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import groupby, zip_longest
from pathlib import Path, PurePath

import declared
import project
import pytest
from dvc.repo import Repo
from project import SMALL_MODEL, TINY_MODELS
from ruamel.yaml import YAML

from study.commands import deps

pytestmark = pytest.mark.slow
PARAMS = project.params()
AUDITED = [
    *("download", "eda", "prepare", "tune", "best", "report"),
    *(f"{stage}@{model}" for stage in ("train", "evaluate") for model in TINY_MODELS),
]
SCRATCH = "checkpoints"  # what a killed stage goes on from; removed by one that ends
# They decide whether a stage starts and what it prints, but no output; the values in params.yaml are declared each.
NO_DEPS = {"params.yaml", "dvc.yaml", "stages/__init__.py"}
# What the tiny params leave unread: images of a folder, and scores by which no model has to be chosen.
SPARED = {"download": {"data/images"}, "tune": {f"metrics/validation/{model}.json" for model in TINY_MODELS}}


@pytest.fixture
def repository(recorded_run, tmp_path) -> Path:
    """A copy of a repository in which no stage is stale, to be changed."""
    return Path(shutil.copytree(recorded_run, tmp_path / "repository", symlinks=True))


def changed_deps(repository: Path) -> dict[str, dict]:
    """By stage, the deps that DVC calls changed in `dvc status`; those of params.yaml are its sections."""
    with contextlib.chdir(repository), Repo() as repo:
        return {name: project.changed(changes, "deps") for name, changes in repo.status(["dvc.yaml"]).items()}


def test_without_a_change_no_stage_is_stale(repository):
    assert changed_deps(repository) == {}


def change(paths: Iterable[Path]) -> None:
    for path in paths:
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


def test_changed_code_makes_stale_the_stages_that_list_its_package_and_no_other(repository):
    """All code is changed at once: DVC names, for each stage, the scripts and packages that it depends on."""
    change(path for package in ("stages", "study") for path in (repository / package).rglob("*.*"))
    listed = {
        name: {path: "modified" for path in project.paths(stage, "deps") if path.startswith(("stages/", "study/"))}
        for name, stage in project.lock(repository).items()
    }
    assert changed_deps(repository) == listed
    assert all(listed.values())


def test_the_schema_of_a_family_makes_stale_its_models_and_the_search_and_no_other(repository):
    change([repository / "study/models/cnn/schema.py"])
    trained = {f"train@{name}" for name, block in PARAMS["models"].items() if block["family"] == "cnn"}
    assert changed_deps(repository).keys() == {*trained, "tune", "best"}


def no_deps(repository: Path) -> Iterator[Path]:
    """The modules that cannot change an output."""
    yield repository / "stages/__init__.py"
    for package in deps.NO_DEPS:
        yield from (repository / package.replace(".", "/")).rglob("*.py")


def test_a_package_that_cannot_change_an_output_makes_no_stage_stale(repository):
    change(no_deps(repository))
    assert changed_deps(repository) == {}


# One of each package, which changes what is printed, refused or sent.
EDITS = [
    ("study/cluster/client.py", "RETRIES = ", "RETRIES = 1 + "),
    ("study/display/progress.py", " min {", " minutes {"),
    ("study/params/messages.py", "LONGEST = 80", "LONGEST = 10"),
]


def test_packages_that_cannot_change_an_output_leave_the_bytes_of_all_outputs(small_run, server, tmp_path):
    repository = Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))
    expected = project.outputs(repository)
    for path, old, new in EDITS:
        text = (repository / path).read_text(encoding="utf-8")
        assert old in text
        (repository / path).write_text(text.replace(old, new), encoding="utf-8")
    stages = ["eda", "prepare", f"train@{SMALL_MODEL}", f"evaluate@{SMALL_MODEL}", "report"]
    repro = ("dvc", "repro", "--force", "--single-item")
    printed = project.shell(repository, *repro, *stages, **server.environment).stdout
    assert re.findall(r"^Running stage '(.*)'", printed, re.MULTILINE) == stages
    assert project.outputs(repository) == expected


def test_an_image_in_the_folder_of_images_makes_download_stale_and_no_other(repository):
    image = repository / PARAMS["data"]["folder"] / "train/cat/0.png"
    image.parent.mkdir(parents=True)
    image.write_text("an image")
    assert changed_deps(repository) == {"download": {PARAMS["data"]["folder"]: "modified"}}


def owner(path: tuple[str, ...]) -> tuple[str, ...]:
    """The least section that a stage can declare of those that hold a param: a key, or the block of a model."""
    return path[:2] if path[0] == "models" else path[:1]


def rounds() -> Iterator[list[tuple[str, ...]]]:
    """Every param once, in rounds of one param of each section."""
    sections = [list(paths) for _, paths in groupby(project.leaves(PARAMS), owner)]
    for params in zip_longest(*sections):
        yield [path for path in params if path]


def write_changed(repository: Path, paths: list[tuple[str, ...]]) -> None:
    """Write params.yaml, as JSON, with other values at these paths."""
    params = deepcopy(PARAMS)
    for *above, key in paths:
        section = functools.reduce(dict.__getitem__, above, params)
        section[key] = f"not {section[key]}"
    (repository / "params.yaml").write_text(json.dumps(params), encoding="utf-8")


def test_a_changed_param_makes_stale_the_stages_that_load_its_section_and_no_other(repository):
    loaded = {name: declared.sections(name) for name in declared.code()}
    for paths in rounds():
        write_changed(repository, paths)
        changed = {".".join(path[:length]) for path in paths for length in (1, 2)}
        assert {name: set(deps.pop("params.yaml")) for name, deps in changed_deps(repository).items()} == {
            name: sections & changed for name, sections in loaded.items() if sections & changed
        }, paths


def test_dvc_compares_each_section_with_all_of_its_params(recorded_run):
    """A changed value, however deep, is one that differs from what dvc.lock records."""
    for name, stage in project.lock(recorded_run).items():
        for section, recorded in stage["params"]["params.yaml"].items():
            assert recorded == functools.reduce(dict.__getitem__, section.split("."), PARAMS), (name, section)


def test_files_that_nobody_declared_make_no_stage_stale(repository):
    (repository / "metrics/validation/dropped.json").write_text("undeclared")
    assert changed_deps(repository) == {}


LEFT_BEHIND = [
    *(".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/label_counts-checkpoint.png"),
    *("best.md~", ".best.md.swp", ".best.md.swo", "#best.md#", ".#best.md", "best.md.bak", "best.md.orig"),
    *(".best.md.kate-swp", "best.md.partial"),
]
NO_CODE = [
    *("notes.txt", "README.md", "notes", ".hidden", "data.npz", "module.pyc", "__pycache__/module.cpython-311.pyc"),
    *(".module.py", "._module.py", ".module.py.swp", ".#module.py", "#module.py#", "module.py~", "module.py.orig"),
    *("module (copy).py", "module - Copy.py", ".ipynb_checkpoints/module-checkpoint.py"),
]


def test_what_is_no_code_beside_the_code_makes_no_stage_stale(repository):
    folders = ("stages", "stages/train", "study", "study/base", "study/models/cnn", "study/report")
    paths = [f"{folder}/{name}" for folder in folders for name in LEFT_BEHIND + NO_CODE]
    for path in paths:
        (repository / path).parent.mkdir(exist_ok=True)
        (repository / path).write_text("undeclared")
    assert project.shell(repository, "dvc", "check-ignore", *paths).stdout.splitlines() == paths
    assert changed_deps(repository) == {}


def test_what_systems_and_editors_leave_beside_outputs_makes_no_stage_stale(repository):
    for name in LEFT_BEHIND:
        for folder in ("plots/eda", "reports/classification"):
            (repository / folder / name).parent.mkdir(exist_ok=True)
            (repository / folder / name).write_text("undeclared")
    with contextlib.chdir(repository), Repo() as repo:
        assert repo.status(["dvc.yaml"]) == {}


def test_git_ignores_what_systems_and_editors_leave_and_scratch_folders_that_are_links(repository):
    scratch = ["checkpoints", "live_metrics", "dvc_plots", ".venv", "study/__pycache__"]
    for name in scratch:
        (repository / name).symlink_to(repository.parent)
    paths = scratch + [f"reports/classification/{name}" for name in LEFT_BEHIND]
    assert project.shell(repository, "git", "check-ignore", *paths).stdout.splitlines() == paths


@pytest.mark.long
def test_what_was_run_once_is_restored_and_not_run_again(small_run, server, tmp_path):
    """But for `report`, which takes a second, see below."""
    repository = Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))
    expected, params = project.outputs(repository), repository / "params.yaml"

    def repro() -> set[str]:
        """The stages that ran."""
        printed = project.shell(repository, "dvc", "repro", **server.environment).stdout
        return set(re.findall(r"^Running stage '(.*)'", printed, re.MULTILINE))

    before = params.read_text()
    changed = before.replace("    weight_decay: 0.01", "    weight_decay: 0.02")
    params.write_text(changed)
    assert repro() == {f"train@{SMALL_MODEL}", f"evaluate@{SMALL_MODEL}", "tune", "best", "report"}
    others = project.outputs(repository)
    for text, outputs in ((before, expected), (changed, others)):
        params.write_text(text)
        assert repro() == {"report"}
        assert project.outputs(repository) == outputs


def test_a_clone_without_data_and_models_is_up_to_date_where_missing_files_are_allowed(small_run, server, tmp_path):
    clone = tmp_path / "clone"
    project.shell(tmp_path, "git", "clone", "--quiet", small_run[0], clone)
    printed = project.shell(clone, "dvc", "repro", "--allow-missing", **server.environment).stdout
    assert printed.splitlines()[-1] == "Data and pipelines are up to date."
    assert project.shell(clone, "git", "status", "--porcelain").stdout == ""


def test_every_stage_but_report_enters_dvcs_run_cache(small_run):
    """DVC leaves out a stage with an uncached output that is neither metric nor plot, as a page of Markdown is."""
    runs = [path for path in (small_run[0] / ".dvc/cache/runs").rglob("*") if path.is_file()]
    entered = {YAML(typ="safe").load(path.read_text())["cmd"] for path in runs}
    assert entered == {stage["cmd"] for name, stage in project.lock(small_run[0]).items() if name != "report"}


@pytest.fixture(scope="module")
def opened(tiny_run) -> Callable[[str, str], set[str]]:
    """What a stage of the tiny run has `read`, `written` or `loaded`: opened(stage, verb)."""
    folder = tiny_run[1]

    def what(name: str, verb: str) -> set[str]:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        paths = {line.removeprefix(f"{verb} ") for line in lines if line.startswith(f"{verb} ")}
        return {path for path in paths if PurePath(path).parts[0] != SCRATCH}

    return what


@pytest.fixture(scope="module")
def lock(tiny_run) -> dict[str, dict]:
    """The stages of the tiny run as dvc.lock records them."""
    return project.lock(tiny_run[0])


@pytest.fixture(scope="module")
def without_statements(tiny_run) -> set[str]:
    """Modules of a docstring alone, which change no output: most __init__.py."""
    return {
        path.relative_to(tiny_run[0]).as_posix()
        for package in ("stages", "study")
        for path in (tiny_run[0] / package).rglob("*.py")
        if len(ast.parse(path.read_text(encoding="utf-8")).body) == 1 and ast.get_docstring(ast.parse(path.read_text()))
    }


def outside(paths: set[str], allowed: set[str]) -> set[str]:
    """The paths that are not allowed themselves, nor lie in an allowed folder."""
    return {path for path in paths if not {path, *map(str, PurePath(path).parents)} & allowed}


def unused(allowed: set[str], paths: set[str]) -> set[str]:
    """What is allowed and neither among the paths nor a folder around one of them."""
    return {path for path in allowed if len(outside(paths, {path})) == len(paths)}


@pytest.mark.parametrize("name", AUDITED)
def test_a_stage_reads_what_it_declares_and_no_other(name, opened, lock, without_statements):
    listed, read = project.paths(lock[name], "deps"), opened(name, "read")
    through_no_deps = declared.code(without=())[name] - declared.code()[name]
    assert outside(read, listed | NO_DEPS | through_no_deps | without_statements) == set()
    assert unused(listed, read) - SPARED.get(name, set()) == set()


@pytest.mark.parametrize("name", AUDITED)
def test_a_stage_writes_what_it_declares_and_no_other(name, opened, lock):
    outs = project.paths(lock[name], "outs")
    written = {path.removesuffix(".partial") for path in opened(name, "written")}
    assert outside(written, outs) == set()
    assert unused(outs, written) == set()


@pytest.mark.parametrize("name", AUDITED)
def test_a_stage_loads_the_params_it_declares_and_no_other(name, opened, lock):
    assert opened(name, "loaded") == set(lock[name]["params"]["params.yaml"])
