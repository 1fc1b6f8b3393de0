"""The whole graph, small, in a repository of its own, driven by the dvc command as a user would.

ResNet101 is left out of it for time: it differs from ResNet50 in depth alone, and unit/test_models.py builds it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from project import TINY_MODELS as MODELS
from project import TINY_SCORED as SCORED
from project import TINY_TUNED as TUNED
from project import shell
from ruamel.yaml import YAML

from study.model_files import keras_file
from study.params.schema import TRAINED_BY_BEST

pytestmark = pytest.mark.slow
SCORES = ["roc_auc", "accuracy", "log_loss"]
BOUNDS = ["roc_auc_low", "roc_auc_high"]
KEYS = {
    "test": [SCORES[0], *BOUNDS, *SCORES[1:], "roc_auc_mean", "repeats", "spread", "class_roc_auc"],
    "validation": [*SCORES, "temperature", "repeats", "history"],  # of too few images of a class for an interval
}


def copied(tiny_run: tuple[Path, Path], folder: Path) -> Path:
    return Path(shutil.copytree(tiny_run[0], folder, symlinks=True))


@pytest.fixture(scope="module")
def finished(tiny_run, tmp_path_factory) -> Path:
    """The finished tiny run, for commands that change nothing. DVC lets one command at a time into a repository."""
    return copied(tiny_run, tmp_path_factory.mktemp("finished") / "repository")


@pytest.fixture
def repository(tiny_run, tmp_path) -> Path:
    """A copy of the finished tiny run, to be changed."""
    return copied(tiny_run, tmp_path / "repository")


def metrics(folder: Path, kind: str) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / "metrics" / kind).glob("*.json"))}


def test_every_model_has_scores_with_an_interval_if_images_are_enough(finished):
    for split, keys in KEYS.items():
        records = metrics(finished, split)
        assert list(records) == sorted(SCORED)
        assert {tuple(key for key in record if key != "roc_auc_seed_sd") for record in records.values()} == {
            tuple(keys)
        }
    for record in metrics(finished, "test").values():
        assert 0 <= record["roc_auc_low"] <= record["roc_auc_high"] <= 1


def test_only_a_model_with_repeats_has_a_spread(finished):
    repeated = {name for name, record in metrics(finished, "test").items() if "roc_auc_seed_sd" in record}
    spread = {name for name, record in metrics(finished, "test").items() if record["spread"]}
    assert repeated == spread == {TUNED, *TRAINED_BY_BEST}


def test_a_repeat_has_the_weights_of_its_training_alone_in_a_process_of_its_own(repository, server):
    repeats = np.load(repository / f"models/repeats/{TUNED}.npz")
    params = YAML(typ="safe").load((repository / "params.yaml").read_text())
    params["seed"] = int(repeats["seeds"][1])
    params["models"][TUNED]["repeats"] = 1
    (repository / "params.yaml").write_text(json.dumps(params))
    shell(repository, "python", "-m", f"stages.train.{TUNED}", **server.environment)
    model = keras_file.read(repository / f"models/{TUNED}.keras")
    weights = [repeats[name] for name in sorted(repeats.files) if name.startswith("1/")]
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), weights, strict=True))


def test_a_second_repro_does_nothing(finished, server):
    assert "Data and pipelines are up to date." in shell(finished, "dvc", "repro").stdout  # as a user starts it
    assert "up to date" in shell(finished, "dvc", "status", "dvc.yaml", **server.environment).stdout
    assert shell(finished, "git", "status", "--porcelain").stdout == ""


def test_metrics_show_has_one_row_per_model_and_split(finished, server):
    table = shell(finished, "dvc", "metrics", "show", "--md", **server.environment).stdout.strip().splitlines()
    header = [cell.strip() for cell in table[0].strip("|").split("|")]
    assert sorted(header) == sorted(["Path", *SCORES, *BOUNDS, "roc_auc_mean", "roc_auc_seed_sd", "temperature"])
    assert len(table) - 2 == 2 * len(SCORED)


def test_the_graph_is_the_documented_one(finished, server):
    edges = {
        tuple(part.strip().strip('";') for part in line.split("->"))
        for line in shell(finished, "dvc", "dag", "--dot", **server.environment).stdout.splitlines()
        if "->" in line
    }
    expected = {("download", "eda"), ("eda", "report"), ("download", "prepare")}
    expected |= {("prepare", "tune"), ("prepare", "best"), ("tune", "best"), ("tune", "report"), ("best", "report")}
    for train, evaluate in ((f"train@{model}", f"evaluate@{model}") for model in MODELS):
        expected |= {("prepare", train), (train, "tune"), (train, "report")}
        expected |= {("prepare", evaluate), (train, evaluate), (evaluate, "report")}
    assert edges == expected


def test_each_model_is_in_the_ranking_and_has_a_report_and_a_figure(finished):
    ranking = (finished / "reports/ranking.md").read_text()
    for name in SCORED:
        assert f"| {name} {'|' if name in MODELS else '('}" in ranking
        assert (finished / f"plots/predictions/{name}.png").stat().st_size > 1000
        assert "macro avg" in (finished / f"reports/classification/{name}.md").read_text()


def test_a_finished_run_leaves_no_state_of_its_training_runs(finished):
    assert not (finished / "live_metrics").exists()
    assert [path.name for path in (finished / "checkpoints").iterdir()] == ["times.jsonl"]


def test_plots_are_drawn_by_dvc(finished, server, tmp_path):
    page = shell(finished, "dvc", "plots", "show", "--out", str(tmp_path / "html"), **server.environment).stdout.strip()
    html = Path(page.removeprefix("file://")).read_text()
    for part in ("plots_roc_csv", "metrics_images_cnn2_csv", "plots_learning_curves_csv", "plots_ranking_png"):
        assert part in html
