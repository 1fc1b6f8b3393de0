"""The pages whose commands a reader types: each does what it says, here in small copies of the project."""

import json
import shutil
from pathlib import Path

import numpy as np
import project
import pytest
import walkthrough
from PIL import Image
from walkthrough import Edit, Shell

PAGE = walkthrough.PAGE.read_text(encoding="utf-8")
RECIPE = (project.ROOT / "docs/own-study.md").read_text(encoding="utf-8")
EDITORS = ("sed ", "cat > ", "cat block")  # commands that change the tree and need nothing else
KEPT, ADDED = ["cnn2_dropout", "cnn3_dropout"], "cnn3_narrow"
WORDS = dict.fromkeys([*project.params()["models"], "best", "control"], "MODEL")
WORDS |= dict.fromkeys(["better", "worse", "equivalent", "unclear", "unknown"], "VERDICT")
OWN = {"train": 24, "test": 6}  # images per class


@pytest.fixture
def sources(tmp_path) -> Path:
    """What the recipe edits."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy2(project.ROOT / name, tmp_path)
    for name in ("stages", "study"):
        shutil.copytree(project.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_edit_of_the_recipe_changes_the_tree_as_the_recipe_says(sources):
    shell = Shell(sources, project.environment())
    for step in walkthrough.steps(RECIPE):
        before = contents(sources)
        if isinstance(step, Edit):
            shell.apply(step)
        elif step.text.startswith(EDITORS):
            shell.run(step.text)
        else:
            continue
        assert contents(sources) != before, step
    assert project.params(sources)["models"].keys() == {*KEPT, ADDED}
    template = (sources / "study/report/templates/ranking.md.j2").read_text(encoding="utf-8").splitlines()
    header, line, row = (text for text in template if text.startswith("|"))
    assert header.count("|") == line.count("|") == row.count(" | ") + 2


def test_a_stage_computes_the_score_of_the_recipe(sources):
    shell = Shell(sources, project.environment())
    for step in walkthrough.steps(RECIPE):
        if isinstance(step, Edit) and step.path == "study/scoring/scores.py":
            shell.apply(step)
    program = (
        "import stages, numpy as np; from study.base import runtime; from study.scoring.scores import scores; "
        "runtime.end_imports(); labels = np.array([0, 0, 1, 1]); print(scores(labels, np.eye(2)[labels])['macro_f1'])"
    )
    assert shell.run(f'python -c "{program}"') == ["1.0"]


@pytest.mark.slow
def test_the_walkthrough_prints_what_its_page_shows(tiny_run, tmp_path, server):
    repository, _ = tiny_run
    environment = project.environment(**server.environment)
    shell = Shell(tmp_path, walkthrough.surroundings(repository, tmp_path, environment))
    ran = []
    for command in walkthrough.steps(PAGE):
        printed = shell.run(command.text)
        shapes = [walkthrough.shape(lines, WORDS) for lines in (printed, command.output)]
        assert walkthrough.same_shape(printed, command.output, WORDS), f"{command.text}\n{shapes[0]}\n{shapes[1]}"
        assert not [line for line in printed if line.startswith("not compared")]
        ran.append([line.split("'")[1] for line in printed if line.startswith("Running stage")])
    # An experiment runs its target and what that needs; then `dvc repro` runs what depends on it.
    assert list(filter(None, ran)) == [["train@cnn2_dropout", "evaluate@cnn2_dropout"], ["tune", "report"]]


def draw(folder: Path) -> None:
    """Two classes of images, bright and dark ones, of several sizes."""
    rng = np.random.default_rng(0)
    for split, count in OWN.items():
        for name, level in {"day": 160, "night": 60}.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(level, 40, (40, 30 + number, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


@pytest.mark.slow
@pytest.mark.long
def test_the_recipe_makes_a_study_of_own_images_of_two_models_and_a_new_one_with_another_score(tmp_path, server):
    repository = project.copy(tmp_path / "repository", lambda params: params)
    shutil.copy2(project.ROOT / "params.yaml", repository)  # with its comments and empty lines
    project.commit(repository, "params as they are written")
    draw(repository / "data/own")
    shell = Shell(repository, project.environment(**server.environment))
    printed = {}
    for step in walkthrough.steps(RECIPE):
        if isinstance(step, Edit):
            shell.apply(step)
        else:
            printed[step.text] = shell.run(step.text)
    header, _, *rows = [line for line in printed["cat reports/ranking.md"] if line.startswith("|")]
    assert " macro F1 " in header
    names = {row.split("|")[1].split()[0] for row in rows}
    assert names == {*KEPT, ADDED, "best", "control"}
    for folder in ("test", "validation"):
        records = {path.stem: json.loads(path.read_text()) for path in (repository / "metrics" / folder).iterdir()}
        assert records.keys() == names
        assert all(0 <= record["macro_f1"] <= 1 for record in records.values())
    assert json.loads((repository / "metrics/eda.json").read_text())["classes"] == ["day", "night"]
    assert shell.run("git status --porcelain") == []
    assert "Data and pipelines are up to date." in shell.run("dvc repro")
