"""Two revisions are compared by what they record: params, code, and a verdict per model."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pace
import pytest
from histories import PARAMS, commit, git, lock, predictions, write
from networks import TINY
from optuna.storages import InMemoryStorage
from project import ROOT, environment
from scipy.stats import ttest_ind

from study.base import files
from study.base.runtime import UserError
from study.compare import changes, revisions
from study.compare.changes import ChangedModel, ChangedParam, Changes
from study.data import arrays
from study.data.arrays import Prepared, Split
from study.evaluation import final_scores, image_scores
from study.model_files import repeats_file
from study.models.common import scripts
from study.params.schema import Range, Spaces, override
from study.report import differences
from study.scoring.predict import predict
from study.scoring.scores import point
from study.search import repeats
from study.training import run as training
from study.training import task


def compare(base: str, head: str | None = None) -> Changes:
    return changes.between(*revisions.find(base, head))


def changed_model(name: str, base: str, head: str | None = None) -> ChangedModel:
    return next(model for model in compare(base, head).models if model.name == name)


def verdicts_of(base: str, head: str | None = None) -> dict[str, str]:
    return {model.name: model.verdict for model in compare(base, head).models}


VERDICTS = {
    "better": ("cnn2", "base", "changed", "better"),
    "worse": ("resnet50", "base", "changed", "worse"),
    "better the other way": ("resnet50", "changed", "base", "better"),
    "unclear": ("cnn2", "base", "alike", "unclear"),
    "same bytes": ("best", "base", "changed", "same bytes"),
    "same bytes of other code": ("cnn2", "base", "comment", "same bytes"),
    "new": ("cnn3", "base", "models", "new"),
    "gone": ("resnet50", "base", "models", "gone"),
    "unknown": ("cnn2", "once", "once_changed", "unknown"),
    "of a model that was trained once": ("best", "base", "best", "unknown"),
    "of a search that chose otherwise": ("best", "base", "otherwise", "the search chose otherwise"),
    "of another search": ("best", "base", "anew", "unknown"),
    "a control, which the base had not": ("control", "base", "control", "new"),
    "a control": ("control", "control", "control_changed", "unknown"),
    "same bytes beside a control of others": ("best", "control", "control_changed", "same bytes"),
    "beside a search to come": ("cnn2", "base", "partly", "better"),
    "of a search to come": ("best", "base", "partly", "not run yet"),
    "a search that improved": ("the search", "searched", "searched_better", "better"),
    "a search that got worse": ("the search", "searched_better", "searched", "worse"),
    "a search as good": ("the search", "searched", "searched_alike", "equivalent"),
    "a search that ran once before": ("the search", "base", "searched", "unknown"),
    "beside a search as good that chose otherwise": (
        "best",
        "base",
        "searched_otherwise",
        "the search chose otherwise",
    ),
    "an experiment": ("cnn2", "base", "lone-exp", "better"),
}


@pytest.mark.parametrize(("model", "base", "head", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_each_model_has_a_verdict(here, model, base, head, verdict):
    assert verdicts_of(base, head)[model] == verdict


def test_other_repeats_are_not_the_same_bytes(copy_of_history):
    lock = json.loads((copy_of_history / "dvc.lock").read_text())
    lock["stages"]["train@cnn2"]["outs"].append({"path": repeats_file.path("cnn2"), "md5": "others"})
    (copy_of_history / "dvc.lock").write_text(json.dumps(lock))
    assert verdicts_of("base") == {
        "cnn2": "unclear",
        "resnet50": "same bytes",
        "best": "same bytes",
    }


def test_the_context_is_the_change_of_the_shipped_models(here):
    old, new = (point(*predictions(skill))["roc_auc"] for skill in (1.0, 1.6))
    assert changed_model("cnn2", "base", "changed").pair.shipped.value == pytest.approx(new - old, abs=2e-6)


def test_both_answers_hold_the_change(here):
    pair = changed_model("cnn2", "base", "changed").pair
    for answer in (pair.shipped, pair.retrained):
        assert answer.low < answer.value < answer.high


def test_the_means_over_repeats_answer_whether_the_change_holds_if_trained_again(here):
    means = [
        np.mean([point(*predictions(skill, repeat=repeat))["roc_auc"] for repeat in range(3)]) for skill in (1.0, 1.6)
    ]
    assert changed_model("cnn2", "base", "changed").pair.retrained.value == pytest.approx(means[1] - means[0], abs=2e-6)


NOTES = {
    "trained once": ("best", "base", "best", r"best was trained once"),
    "chosen otherwise": ("best", "base", "otherwise", r"by its seed or by rounding"),
    "chosen anew": ("best", "base", "anew", r"best was trained once; another block"),
    "to be run": ("best", "base", "partly", r"`dvc repro` runs it"),
    "searched once": ("the search", "base", "searched", r"`tune\.searches` is 1 in one of the two"),
    "unclear": ("cnn2", "base", "alike", r".* would settle it"),
    "better": ("cnn2", "base", "changed", r""),
}


@pytest.mark.parametrize(("model", "base", "head", "note"), NOTES.values(), ids=NOTES)
def test_a_note_says_why_there_is_no_verdict_or_of_what_it_is(here, model, base, head, note):
    assert re.fullmatch(note, changed_model(model, base, head).note)


def test_a_search_without_a_change_or_without_repeats_has_no_row(here):
    assert "the search" not in verdicts_of("searched", "searched")
    assert "the search" not in verdicts_of("base", "otherwise")


@pytest.mark.parametrize("commands", ["labels", "split"])
def test_a_search_on_other_validation_images_has_no_verdict(copy_of_history, commands):
    git(copy_of_history, "checkout", "--quiet", "searched_better", "--", ".")
    if commands == "labels":
        record = json.loads((copy_of_history / "metrics/tune.json").read_text())
        record["images"]["labels"].reverse()
        (copy_of_history / "metrics/tune.json").write_text(json.dumps(record))
        lock({"cnn2": "1", "resnet50": "1", "best": "1"})
    else:
        path = copy_of_history / "dvc.lock"
        path.write_text(path.read_text().replace('"data/test.npz"', '"data/prepared.npz"'))
    assert changed_model("the search", "searched").note == "of other validation images"


def test_the_verdict_on_a_search_is_welchs_t_test_of_its_repeats_if_images_add_nothing(here):
    pair = changed_model("the search", "searched", "searched_better").pair
    expected = ttest_ind([0.9695, 0.97, 0.9705], [0.9595, 0.96, 0.9605], equal_var=False)
    assert pair.retrained.p == pytest.approx(expected.pvalue)


def nearly_noise(seed: int) -> Split:
    labels = (np.arange(100) % 2).astype(np.uint8)
    images = np.random.default_rng(seed).integers(0, 200, (100, 32, 32, 3)) + 4 * labels[:, None, None, None]
    return Split(images.astype(np.uint8), labels)


@pytest.mark.slow
def test_two_real_runs_whose_searches_differ_by_their_seeds_have_no_verdict_on_what_these_chose(
    copy_of_history, params, prepared_file, checkpoints, monkeypatch
):
    """Of networks so small that they take seconds, on images that are nearly noise."""
    data, test, names = (
        Prepared(nearly_noise(0), nearly_noise(1), ["dark", "light"]),
        nearly_noise(2),
        ["dark", "light"],
    )
    monkeypatch.setattr(scripts, "architecture", lambda model: TINY)
    monkeypatch.setattr(arrays, "read_prepared", lambda: data)
    own = override(params.models["cnn2"], {"epochs": 2, "repeats": 2}, "test")
    space = Spaces(cnn={"learning_rate": Range(low=0.0001, high=1.0, log=True)}, resnet={})
    changes = {
        "trials": 3,
        "round_size": 3,
        "epochs": 1,
        "finalists": 0,
        "repeats": 2,
        "models": ["cnn2"],
        "space": space,
    }
    tuned = {"tune": params.tune.model_copy(update=changes), "models": {"cnn2": own}}
    blocks = []
    for seed in (1, 2):
        search = repeats.search(params.model_copy(update=tuned | {"seed": seed}), 0, InMemoryStorage())
        record = repeats.record([search])
        of_models = {"cnn2": own, "best": search.choice.winner.block, "control": search.choice.winner.control}
        blocks.append(of_models["best"])
        recorded = PARAMS | {"seed": seed, "models": {"cnn2": {"family": "cnn"}}}
        write(copy_of_history, dict.fromkeys(of_models, 1.0), params=recorded, search=record)
        for name, block in of_models.items():
            runs = training.repeats(name, "cnn2", block, seed, "test")
            probabilities = [predict(model, test.images) for _, model in task.outcomes(TINY, data, runs)]
            scores = final_scores.final_scores(test.labels, probabilities, [run.seed for run in runs], names)
            files.write_json(f"metrics/test/{name}.json", scores)
            image_scores.write(name, image_scores.image_scores(test.images, test.labels, probabilities), names)
        lock({name: f"{name} by {seed}" for name in of_models})
        commit(copy_of_history, f"seed_{seed}")
    assert blocks[0] != blocks[1]
    compared = {model.name: model for model in compare("seed_1", "seed_2").models}
    assert compared["best"].verdict == "the search chose otherwise"
    assert compared["cnn2"].pair.retrained.value != 0


def test_the_smallest_change_that_matters_is_that_of_the_later_revision(copy_of_history):
    files.write_text("params.yaml", json.dumps(PARAMS | {"report": {"smallest_change": 0.5}}))
    git(copy_of_history, "commit", "--quiet", "--all", "--message", "wide")
    assert verdicts_of("alike", "HEAD")["cnn2"] == "equivalent"
    assert verdicts_of("HEAD", "alike")["cnn2"] == "unclear"


def test_same_bytes_need_no_answer(here):
    same = changed_model("best", "base", "changed")
    assert same.pair is None


def test_answers_are_corrected_for_the_models_that_have_them(here):
    """The answer with the smaller p value counts twice, for the two models that changed."""
    models = compare("base", "changed").models
    resnet = next(model for model in models if model.name == "resnet50")
    runs = [run for model in models for run in (model.after, model.before)]
    (alone,) = differences.pairs([(resnet.after, resnet.before)], 0.002, runs)
    assert resnet.pair.retrained.p == pytest.approx(2 * alone.retrained.p)


def test_the_models_of_the_later_revision_come_first(here):
    assert list(verdicts_of("base", "models")) == ["cnn2", "cnn3", "best", "resnet50"]


def test_what_a_dropped_model_left_is_no_model(copy_of_history):
    shutil.copy(copy_of_history / "metrics/test/cnn2.json", copy_of_history / "metrics/test/dropped.json")
    assert "dropped" not in verdicts_of("base")


def test_changed_params_have_their_values_before_and_after(here):
    assert compare("base", "changed").params == [ChangedParam("models.cnn2.dropout", "0.3", "0.4")]


def test_params_of_one_revision_have_one_value(here):
    assert compare("base", "models").params == [
        ChangedParam("models.cnn3.family", None, '"cnn"'),
        ChangedParam("models.resnet50.family", '"resnet"', None),
    ]


def test_changed_code_is_named(here):
    assert [file.path for file in compare("base", "changed").code] == ["study/code.py", "study/new|<b>.py"]


def test_a_bare_clone_is_enough(history, tmp_path, monkeypatch):
    git(tmp_path, "clone", "--quiet", "--bare", str(history), "bare")
    monkeypatch.chdir(tmp_path / "bare")
    comparison = compare("base", "changed")
    assert [model.verdict for model in comparison.models] == ["better", "worse", "same bytes"]
    assert [file.path for file in comparison.code] == ["study/code.py", "study/new|<b>.py"]


REFUSED = {
    "other images": ("another_split", r"^metrics/images/cnn2\.csv of another_split \(\w+\): is of another test split"),
    "no repeats": (
        "no_repeats",
        r"^metrics/test/cnn2\.json of no_repeats \(\w+\): lacks repeats; older commits",
    ),
    "no mean_shortfall": ("no_mean_shortfall", r"^metrics/images/cnn2\.csv of .*: lacks mean_shortfall; older commits"),
    "no records": (
        "no_records",
        r"^no_records \(\w+\): has no metrics/test/\*\.json; name a commit that records a run",
    ),
}


@pytest.mark.parametrize(("head", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused(here, head, message):
    with pytest.raises(UserError, match=message):
        compare("base", head)


DAMAGED = {
    "no JSON": ("metrics/test/cnn2.json", "{", r"Invalid JSON"),
    "no share": ("metrics/test/cnn2.json", '{"roc_auc": NaN}', "roc_auc"),
    "no UTF-8": ("metrics/images/cnn2.csv", "\udcff", "is not a readable table"),
    "a cut table": ("metrics/images/cnn2.csv", "image,actual\nx", "is not a whole table"),
    "no params": ("params.yaml", "[1]", "holds no mapping of sections"),
    "no YAML": ("params.yaml", "{", "is not valid YAML"),
    "no blocks": ("params.yaml", "models: 1", "models holds no blocks"),
    "no record of DVC's": ("dvc.lock", "<<<<<<<", "is no record of DVC's"),
}


@pytest.mark.parametrize(("path", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named(copy_of_history, path, content, message):
    (copy_of_history / path).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"^{path} of the workspace: .*{message}"):
        compare("base")


def test_a_missing_file_is_named(copy_of_history):
    (copy_of_history / "metrics/images/best.csv").unlink()
    with pytest.raises(UserError, match=r"^metrics/images/best\.csv of the workspace: is missing; `dvc repro`"):
        compare("base")


def test_without_dvc_lock_no_bytes_are_the_same(copy_of_history):
    (copy_of_history / "dvc.lock").unlink()
    assert "same bytes" not in verdicts_of("base").values()


def test_bytes_are_the_same_only_on_the_same_test_split(copy_of_history):
    path = copy_of_history / "dvc.lock"
    path.write_text(path.read_text().replace("150 images", "other images"))
    assert "same bytes" not in verdicts_of("base").values()


def test_an_experiment_is_compared_like_a_commit(here):
    assert verdicts_of("base", "lone-exp") == verdicts_of("base", "changed")
    assert compare("base", "lone-exp").params == compare("base", "changed").params


def test_no_large_library_is_imported_to_compare(history):
    """But scipy: the command answers at once."""
    script = (
        "import sys; from study.__main__ import main; main('compare', 'base', 'changed', '--json'); "
        "assert not any(map(sys.modules.get, ['keras', 'tensorflow', 'sklearn', 'matplotlib', 'optuna', 'dvc']))"
    )
    surroundings, limit = environment(PYTHONPATH=str(ROOT)), pace.seconds(60)
    done = subprocess.run([sys.executable, "-c", script], cwd=history, env=surroundings, check=False, timeout=limit)
    assert done.returncode == 0
