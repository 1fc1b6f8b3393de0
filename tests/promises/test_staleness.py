"""Staleness is honest: a stage is stale exactly when something has changed that can change its outputs."""

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import chdir
from copy import deepcopy
from pathlib import Path, PurePath

import project
import pytest
from dvc.repo import Repo
from dvc.utils.serialize import _yaml
from project import ROOT, TINY_MODELS
from ruamel.yaml import YAML
from test_rules import PARAMS, STAGES, closure, params_read, script

pytestmark = pytest.mark.slow
CODE = {name: {str(file) for file in closure(script(stage["cmd"]))} for name, stage in STAGES.items()}
FAMILIES = {"stages/lib/cnn.py", "stages/lib/resnet.py"}
# What the tiny params leave unopened: the family that is not tuned, and the scores by which no model has to be chosen.
SPARED = {"tune": FAMILIES | {"metrics/validation"}, "best": FAMILIES}
SCRATCH = "checkpoints"  # what a killed stage goes on from; removed by one that ends
AUDITED = [name for name in STAGES if name.partition("@")[2] in {"", *TINY_MODELS}]


def sections(name: str) -> set[str]:
    """The sections of params.yaml that the code of a stage asks for."""
    called = CODE[name] if name.startswith("train@") else CODE[name] - {"stages/lib/training.py"}  # for its `stage`
    return params_read({Path(file) for file in called}, name.partition("@")[2])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[Repo]:
    """A copy of the project with a dvc.lock that has all stages done; their outputs hold nothing but their names."""
    folder = project.copy(tmp_path_factory.mktemp("recorded"), lambda params: params)
    parse = functools.cache(_yaml.parse_yaml)
    with pytest.MonkeyPatch.context() as patch, chdir(folder), Repo() as repo:
        # Each text is parsed once, not once for every stage, which takes nine tenths of the time of a status.
        patch.setattr(_yaml, "parse_yaml", lambda *arguments, **named: deepcopy(parse(*arguments, **named)))
        for out in map(str, repo.index.outs):
            path = Path(out) if Path(out).suffix else Path(out, "figure.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(out)
        repo.commit(force=True)
        assert repo.status() == {}
        yield repo
        assert repo.status() == {}


def stale(repo: Repo, file: str, change: Callable[[str], str]) -> set[str]:
    """The stages that DVC calls stale while the text of a file is changed."""
    path = Path(repo.root_dir, file)
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    try:
        return set(repo.status())
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_changed_module_makes_stale_the_stages_that_import_it_and_no_other(recorded):
    modules = [str(path.relative_to(ROOT)) for path in (ROOT / "stages").rglob("*.py")]
    found = {module: stale(recorded, module, lambda text: text + "# changed\n") for module in modules}
    assert found == {module: {name for name, code in CODE.items() if module in code} for module in modules}


def leaves(section: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in section.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]


def changed(path: tuple[str, ...]) -> str:
    """params.yaml, as JSON, with another value at a path."""
    params = deepcopy(PARAMS)
    *sections, key = path
    section = functools.reduce(dict.__getitem__, sections, params)
    section[key] = f"not {section[key]}"
    return json.dumps(params)


def test_a_changed_param_makes_stale_the_stages_that_read_it_and_no_other(recorded):
    read = {name: sections(name) for name in STAGES}
    found, expected = {}, {}
    for path in leaves(PARAMS):
        above = {".".join(path[:length]) for length in range(1, len(path) + 1)}
        expected[".".join(path)] = {name for name in STAGES if above & read[name]}
        found[".".join(path)] = stale(recorded, "params.yaml", lambda _, path=path: changed(path))
    assert found == expected


@pytest.fixture(scope="module")
def opened(tiny_run) -> Callable[[str, str], set[str]]:
    """What a stage of the tiny run has `read`, `written` or `loaded`: opened(stage, verb)."""
    folder = tiny_run[1]

    def what(name: str, verb: str) -> set[str]:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        found = {line.removeprefix(f"{verb} ") for line in lines if line.startswith(f"{verb} ")}
        return {path for path in found if PurePath(path).parts[0] != SCRATCH}

    return what


@pytest.fixture(scope="module")
def lock(tiny_run) -> dict[str, dict]:
    """The stages of the tiny run as dvc.lock records them."""
    return YAML(typ="safe").load((tiny_run[0] / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def outside(paths: set[str], declared: set[str]) -> set[str]:
    """The paths that are not declared themselves, nor lie in a declared folder."""
    return {path for path in paths if not {path, *map(str, PurePath(path).parents)} & declared}


@pytest.mark.parametrize("name", AUDITED)
def test_a_stage_opens_what_it_declares_and_no_other(name, opened, lock):
    deps, outs = ({entry["path"] for entry in lock[name][key]} for key in ("deps", "outs"))
    read = opened(name, "read")
    assert outside(read, deps | {"params.yaml"}) == set()
    unused = {dep for dep in deps if len(outside(read, {dep})) == len(read)}
    assert unused <= SPARED.get(name, set())
    written = {path.removesuffix(".partial") for path in opened(name, "written")}
    assert outside(written, outs) == set()
    assert {out for out in outs if len(outside(written, {out})) == len(written)} == set()


@pytest.mark.parametrize("name", AUDITED)
def test_a_stage_loads_the_params_it_declares_and_no_other(name, opened, lock):
    assert opened(name, "loaded") == set(lock[name]["params"]["params.yaml"])


def test_the_test_split_is_read_by_evaluate_and_best_alone(opened):
    readers = {name for name in AUDITED if "data/test.npz" in opened(name, "read")}
    assert readers == {"best", *(f"evaluate@{model}" for model in TINY_MODELS)}
