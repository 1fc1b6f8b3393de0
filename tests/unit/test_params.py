"""params.yaml is checked whole, and each fault gets one line that names the key, the value and what is allowed."""

import copy
import itertools
import re
import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils import hydra
from dvc.utils.serialize import dump_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project import ROOT
from ruamel.yaml import YAML

from study.base.runtime import UserError
from study.params import load
from study.params.schema import override

REMOVED = object()
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
COMMITTED = YAML(typ="safe").load(TEXT)


def change(raw: dict, key: str, value) -> dict:
    section = raw
    *parents, last = key.split(".")
    for part in parents:
        section = section[part]
    if value is REMOVED:
        del section[last]
    else:
        section[last] = value
    return raw


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with params.yaml and what is compared with it."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "stages/train", tmp_path / "stages/train", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def overridden(folder: Path, *overrides: str) -> str:
    """The text of params.yaml in `folder` after `-S` with these overrides."""
    hydra.apply_overrides(folder / "params.yaml", list(overrides))
    return (folder / "params.yaml").read_text(encoding="utf-8")


def test_the_comment_says_how_many_training_images_are_drawn_at_least(raw_params):
    synthetic = raw_params["data"]["synthetic"]
    faults = sum(synthetic[fault] for fault in ("duplicates", "leaks", "near_duplicates", "near_leaks"))
    more = int(re.search(r"at least (\d+) more than the planted faults", TEXT)[1])
    load.parse(change(raw_params, "data.synthetic.train_images", more + faults))
    with pytest.raises(UserError, match=f"allowed: at least {more} "):
        load.parse(change(raw_params, "data.synthetic.train_images", more + faults - 1))


def test_the_committed_file_is_accepted(raw_params):
    assert list(load.parse(raw_params).models) == list(raw_params["models"])


def test_sections_that_are_asked_for_can_be_used(folder, params):
    loaded = load.load("seed", "prepare", "models")
    assert (loaded.seed, loaded.prepare, loaded.models) == (params.seed, params.prepare, params.models)


def test_several_searches_need_finalists(raw_params):
    load.parse(change(raw_params, "tune.searches", 2))
    with pytest.raises(UserError, match=r"^params\.yaml: tune\.searches is 2; allowed: 1, or finalists"):
        load.parse(change(change(raw_params, "tune.searches", 2), "tune.finalists", 0))


@pytest.mark.parametrize("section", ["threads", "data", "models", "tune"])
def test_a_section_that_is_not_asked_for_cannot_be_used(folder, section):
    with pytest.raises(AttributeError):
        getattr(load.load("seed", "prepare"), section)


def test_of_models_only_the_block_that_is_asked_for_can_be_used(folder, params):
    assert load.load("models.cnn2").models == {"cnn2": params.models["cnn2"]}


def test_a_model_that_is_asked_for_and_has_no_block_is_named(folder):
    overridden(folder, "~models.cnn2")
    with pytest.raises(UserError, match=r"^params\.yaml: models\.cnn2 does not exist; allowed: cnn2_dropout, "):
        load.load("models.cnn2")


def test_a_fault_in_a_section_that_is_not_asked_for_is_found_too(folder):
    overridden(folder, "tune.trials=0")
    with pytest.raises(UserError, match=r"^params\.yaml: tune\.trials is 0"):
        load.load("seed")


REFUSED = {
    "seed": [-1, "42", None, 1.0, [1]],
    "threads": [0, 1.5],
    "data.source": ["合成", None],
    "data.path": [3],
    "data.folder": [None],
    "data.sha256": ["ABC"],
    "data": [[]],
    "data.synthetic.train_images": [0],
    "data.synthetic.noise": [float("nan"), -0.1, "16"],
    "prepare": [3],
    "prepare.validation_fraction": [0, float("nan"), None],
    "models": [["cnn2"]],
    "models.cnn2.learning_rate": [float("inf"), -float("inf"), True, "1e-3"],
    "models.cnn2.epochs": [0, 2.5],
    "models.cnn2.batch_size": [0, False],
    "models.cnn2.label_smoothing": [1],
    "models.cnn2.weight_decay": [-0.1],
    "models.cnn2.early_stopping_patience": [0],
    "models.cnn2.schedule": ["cosine"],
    "models.cnn2.schedule.warmup_fraction": [-1, 1.0],
    "models.cnn3_plateau.schedule.factor": [1.0],
    "models.cnn2.augmentation.flip": ["yes"],
    "models.cnn2.augmentation.shift_pixels": [65],
    "models.cnn2.further_blocks": [5],
    "models.cnn2.convolutions_per_block": [0],
    "models.cnn2.width_multiplier": [0.5],
    "models.resnet50.image_size": [16],
    "models.resnet50.head.epochs": [0],
    "models.resnet50.weights": ["</script>", "=1+1", 7],
    "tune.models": [0],
    "tune.trials": [0],
    "tune.epochs": [-1],
    "tune.round_size": [0],
    "tune.rungs": [0],
    "tune.reduction_factor": [1],
    "tune.space.cnn.dropout": [0.3],
    "tune.space.cnn.dropout.high": [float("nan")],
}
FAULTS = {
    **{f"{key}: {value!r}": (key, value, f"{key} is {value!r}") for key in REFUSED for value in REFUSED[key]},
    "seed too high": ("seed", 10**30, "less than 2147483648"),
    "seed too long to show": ("seed", 10**6000, "seed is a number too long to show"),
    "no seed": ("seed", REMOVED, "seed is missing"),
    "seed misspelt": ("sed", 1, "sed is not a known key; did you mean seed?"),
    "seed with a capital": ("Seed", 1, "Seed is not a known key; did you mean seed?"),
    "unknown key": ("sämen", 1, "sämen is not a known key"),
    "key with a line break": ("a\nb", 1, "is not a known key"),
    "source unknown": (
        "data.source",
        "mnist",
        "data.source is 'mnist'; allowed: it should be 'synthetic', 'cifar10', 'npz' or 'folder'",
    ),
    "npz without a path": ("data.source", "npz", "data.path is None and data.sha256 None; data.source npz needs both"),
    "path with a password": (
        "data.path",
        "https://me:hidden@host/a.npz",
        "data.path is 'https://…@host/a.npz'; allowed: no user and password, which git and dvc.lock would keep",
    ),
    "path with a user": ("data.path", "https://hidden@host/a.npz", "put user and password into ~/.netrc"),
    "path with a password that has a slash": ("data.path", "https://me:h/idden@host/a.npz", "user and password"),
    "path with a long password": ("data.path", f"https://me:{'hidden' * 50}@host/a.npz", "data.path is 'https://…@"),
    "path with a token": (
        "data.path",
        "https://host/a.npz?token=hidden",
        "data.path is 'https://host/a.npz?…'; allowed: no secret 'token'",
    ),
    "path that is signed": ("data.path", "https://host/a?X-Amz-Signature=hidden", "no secret 'X-Amz-Signature'"),
    "path with a token behind #": ("data.path", "https://host/a#access_token=hidden", "no secret 'access_token'"),
    "path with a password in a list": ("data.path", ["https://me:hidden@host/a"], "data.path is ['https://…@host/a']"),
    "folder without a name": ("data.folder", "", "data.folder is None"),
    "images of a folder too small": (
        "data.image_size",
        21,
        "data.image_size is 21; allowed: it should be greater than or equal to 22",
    ),
    "another fit": ("data.fit", "crop", "data.fit is 'crop'; allowed: it should be 'stretch' or 'pad'"),
    "another way with near duplicates": (
        "prepare.near_duplicates",
        "keep",
        "prepare.near_duplicates is 'keep'; allowed: it should be 'group', 'drop' or 'ignore'",
    ),
    "no data": ("data", REMOVED, "data is missing"),
    "data misspelt": ("dta", {}, "dta is not a known key; did you mean data?"),
    "too many training images": ("data.synthetic.train_images", 10**30, "less than or equal to 100000"),
    "too few test images": ("data.synthetic.test_images", 19, "test_images is 19; allowed: at least 20 "),
    "too many leaks": (
        "data.synthetic.leaks",
        1495,
        "duplicates + leaks + near_duplicates + near_leaks, 1579, so that cleaning empties no class",
    ),
    "too many duplicates": (
        "data.synthetic.duplicates",
        800,
        "data.synthetic.duplicates is 800; allowed: at most the 580 training images that are no planted faults",
    ),
    "too many near duplicates": (
        "data.synthetic.near_duplicates",
        800,
        "data.synthetic.near_duplicates is 800; allowed: at most the 576 training images that are no planted faults",
    ),
    "too many near leaks": (
        "data.synthetic.near_leaks",
        1400,
        "data.synthetic.train_images is 1400; allowed: at least",
    ),
    "duplicates misspelt": ("data.synthetic.duplicate", 3, "did you mean duplicates?"),
    "no prepare": ("prepare", REMOVED, "prepare is missing"),
    "fraction above 1": (
        "prepare.validation_fraction",
        1.5,
        "prepare.validation_fraction is 1.5; allowed: it should be less than 1",
    ),
    "models left out": ("models", REMOVED, "models is missing"),
    "no model": ("models", {}, "at least one model"),
    "block empty": ("models.cnn2", None, "models.cnn2"),
    "block that lacks params": ("models.best", {"family": "cnn"}, "models.best.repeats is missing"),
    "name of 300 characters": ("models", {"c" * 300: {}}, "models.ccc"),
    "family unknown": ("models.cnn2.family", "vit", "models.cnn2.family is 'vit'; allowed: 'cnn', 'resnet'"),
    "no family": ("models.cnn2.family", REMOVED, "models.cnn2.family is missing"),
    "param of another family": ("models.cnn2.weights", None, "models.cnn2.weights is not a known key"),
    "rate of 0": (
        "models.cnn2.learning_rate",
        0,
        "models.cnn2.learning_rate is 0; allowed: it should be greater than 0",
    ),
    "dropout above 1": ("models.cnn2.dropout", 1.5, "models.cnn2.dropout is 1.5; allowed: it should be less than 1"),
    "dropout misspelt": ("models.cnn2.droput", 0.1, "models.cnn2.droput is not a known key; did you mean dropout?"),
    "batch below 0": ("models.cnn2.batch_size", -(10**25), "greater than or equal to 1"),
    "optimizer unknown": ("models.cnn2.optimizer", "adamw", "'adam', 'rmsprop' or 'sgd'"),
    "precision unknown": ("models.cnn2.precision", "float16", "'float32' or 'mixed_bfloat16'"),
    "schedule unknown": (
        "models.cnn2.schedule.name",
        "step",
        "models.cnn2.schedule.name is 'step'; allowed: 'cosine', 'plateau'",
    ),
    "param of another schedule": (
        "models.cnn2.schedule.patience",
        3,
        "models.cnn2.schedule.patience is not a known key",
    ),
    "least rate above the rate": (
        "models.cnn3_plateau.schedule.minimum_learning_rate",
        0.5,
        "models.cnn3_plateau.schedule.minimum_learning_rate is 0.5; allowed: at most learning_rate, 0.0015",
    ),
    "shift misspelt": ("models.cnn2.augmentation.shift_pixel", 3, "did you mean shift_pixels?"),
    "images too large": ("models.resnet50.image_size", 100000, "less than or equal to 1024"),
    "no head": ("models.resnet50.head", REMOVED, "models.resnet50.head is missing"),
    "pooling unknown": ("models.resnet50.pooling", "mean", "'avg' or 'max'"),
    "weights in two cells": ("tune.space.resnet.weights", ["a|b"], "tune.space.resnet.weights, of resnet50: 'a|b' is"),
    "no tune": ("tune", REMOVED, "tune is missing"),
    "more models than there are": ("tune.models", 99, "tune.models is 99; allowed: 1 to "),
    "tuned model unknown": ("tune.models", ["cnn9"], "tune.models names 'cnn9'; allowed: cnn2, cnn2_dropout"),
    "tuned model with a line break": ("tune.models", ["a\x85b"], r"tune.models names 'a\x85b'"),
    "tuned model unknown, without a list": ("tune.models", "cnn9", "tune.models names 'cnn9'; allowed: cnn2, "),
    "class weight unknown": (
        "models.cnn2.class_weight",
        "inverse",
        "models.cnn2.class_weight is 'inverse'; allowed: it should be 'balanced'",
    ),
    "none for what must be there": ("models.cnn2.optimizer", "none", "models.cnn2.optimizer is None; allowed"),
    "tuned models as an empty list": ("tune.models", [], "tune.models is an empty list"),
    "rungs of one length": (
        "tune.rungs",
        4,
        "tune.epochs is 3; allowed: above 9, so that the 4 rungs differ in length; raise epochs, or lower rungs or "
        "reduction_factor",
    ),
    "finalists of one run": (
        "tune.repeats",
        1,
        "tune.repeats is 1; allowed: 2 or more, or 1 with finalists 0: one run",
    ),
    "sampler unknown": ("tune.sampler", "random", "tune.sampler is 'random'; allowed: it should be 'tpe' or 'grid'"),
    "grid of a range": (
        "tune.sampler",
        "grid",
        "tune.space.cnn.learning_rate is a range; allowed with tune.sampler grid",
    ),
    "no space": ("tune.space", REMOVED, "tune.space is missing"),
    "space of an unknown family": ("tune.space.transformer", {}, "tune.space.transformer is not a known key"),
    "space of the family": ("tune.space.cnn.family", ["resnet"], "tune.space.cnn.family is no param"),
    "space of a misspelt param": (
        "tune.space.cnn.droput",
        [0.1],
        "tune.space.cnn.droput is no param of a cnn block; did you mean dropout?",
    ),
    "choice that a block refuses": (
        "tune.space.cnn.dropout",
        [1.0],
        "dropout, of cnn2: 1.0 is refused; allowed: it should be less than 1",
    ),
    "choice of a batch of 0": ("tune.space.cnn.batch_size", [0], "tune.space.cnn.batch_size, of cnn2: 0 is refused"),
    "no choice": ("tune.space.cnn.batch_size", [], "tune.space.cnn.batch_size is an empty list"),
    "range that lacks a key": (
        "tune.space.cnn.learning_rate",
        {"low": 0.1, "high": 0.2},
        "tune.space.cnn.learning_rate.log is missing",
    ),
    "range from text": (
        "tune.space.cnn.dropout",
        {"low": "a", "high": 0.5, "log": False},
        "tune.space.cnn.dropout.low is 'a'",
    ),
    "range turned round": (
        "tune.space.cnn.learning_rate.low",
        1.0,
        "tune.space.cnn.learning_rate.low is 1.0; allowed: below high, 0.012, ",
    ),
    "logarithm of 0": ("tune.space.cnn.learning_rate.low", 0.0, "above 0 if log is true"),
    "range of what is no number": (
        "tune.space.cnn.early_stopping_patience",
        {"low": 2, "high": 5, "log": False},
        "tune.space.cnn.early_stopping_patience is a range, but cnn2 has None",
    ),
    "range to a rate too high": (
        "tune.space.resnet.learning_rate.high",
        11.0,
        "tune.space.resnet.learning_rate, of resnet50: 11.0 is refused",
    ),
}


@pytest.mark.parametrize(("key", "value", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_in_one_line(raw_params, key, value, message):
    with pytest.raises(UserError) as error:
        load.parse(change(raw_params, key, value))
    text = str(error.value)
    assert text.startswith("params.yaml: ")
    assert message in text
    assert text.isprintable()
    assert "hidden" not in text


# How people write that a param has no value; the first two as `-S key=` and `-S key=None` give it.
NO_VALUE = ["", "None", "none", "NONE", "null", "Null", " ", None]
MAY_BE_EMPTY = [
    *("threads", "data.path", "data.sha256", "tune.epochs"),
    *("models.cnn3_plateau.early_stopping_patience", "models.cnn2.class_weight", "models.resnet50.weights"),
]


@pytest.mark.parametrize("key", MAY_BE_EMPTY)
@pytest.mark.parametrize("value", NO_VALUE)
def test_one_rule_says_for_all_params_what_no_value_is(raw_params, key, value):
    section = load.parse(change(raw_params, key, value))
    for part in key.split("."):
        section = section[part] if isinstance(section, dict) else getattr(section, part)
    assert section is None


def test_the_search_may_choose_no_value(raw_params):
    change(raw_params, "tune.space.cnn.early_stopping_patience", [3, "none", ""])
    assert load.parse(raw_params).tune.space.cnn["early_stopping_patience"] == [3, None, None]


@pytest.mark.parametrize("override", ["models.cnn3_plateau.early_stopping_patience=", "models.resnet50.weights=None"])
def test_no_value_may_be_given_for_one_experiment(folder, override):
    load.parse(YAML(typ="safe").load(overridden(folder, override)))
    block, _, param = override.partition("=")[0].rpartition(".")
    assert getattr(load.load(block).models[block.split(".")[1]], param) is None


def test_one_name_of_a_model_to_tune_needs_no_list(folder):
    overridden(folder, "tune.models=cnn2")
    assert load.load("tune").tune.models == ["cnn2"]


FIT_FOR_SOME = {
    "a rate below the least of another model's schedule": ("cnn2", "tune.space.cnn.learning_rate.low", 5e-6),
    "a range of what is no number in another model": (
        "cnn3_plateau",
        "tune.space.cnn.early_stopping_patience",
        {"low": 2, "high": 6, "log": False},
    ),
    "a rate too high in another family": ("cnn2", "tune.space.resnet.learning_rate.high", 11.0),
}


@pytest.mark.parametrize(("_", "key", "value"), FIT_FOR_SOME.values(), ids=FIT_FOR_SOME)
def test_the_space_must_fit_every_model_that_may_be_tuned(raw_params, _, key, value):
    with pytest.raises(UserError, match=key.rpartition(".")[0]):
        load.parse(change(raw_params, key, value))


@pytest.mark.parametrize(("model", "key", "value"), FIT_FOR_SOME.values(), ids=FIT_FOR_SOME)
def test_the_space_need_not_fit_models_that_are_not_tuned(raw_params, model, key, value):
    raw_params["tune"]["models"] = [model]
    assert load.parse(change(raw_params, key, value)).tune.models == [model]


PAGES = ("README.md", "docs/experiments.md", "Makefile")


def experiments() -> list[str]:
    """The `dvc exp run` commands of README, of a page of docs and of the Makefile."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in PAGES]
    text = "\n".join(pages).replace("\\\n", " ")
    return [found for found in re.findall(r"dvc exp run [^`\n]+", text) if " -S " in found]


@pytest.mark.parametrize("command", [pytest.param(found, id=" ".join(found.split())) for found in experiments()])
def test_the_overrides_of_a_documented_experiment_are_accepted(command, folder):
    words = shlex.split(re.sub(r"\$\(.+\)", "0" * 64, command))
    overrides = [value for flag, value in itertools.pairwise(words) if flag == "-S"]
    for sweep in hydra.get_hydra_sweeps({"params.yaml": overrides}):
        (folder / "params.yaml").write_text(TEXT, encoding="utf-8")
        load.parse(YAML(typ="safe").load(overridden(folder, *sweep["params.yaml"])))


def test_there_are_documented_experiments():
    assert experiments()


def test_an_override_changes_one_line_of_the_committed_file(folder):
    """The file is in the form that DVC writes: an experiment shows in git as what it changed."""
    pairs = zip(TEXT.splitlines(), overridden(folder, "seed=43").splitlines(), strict=True)
    assert [(before, after) for before, after in pairs if before != after] == [("seed: 42", "seed: 43")]


@pytest.mark.parametrize("model", COMMITTED["models"])
def test_dropping_a_models_block_keeps_every_comment(folder, model):
    comments = [line for line in TEXT.splitlines() if line.lstrip().startswith("#")]
    after = overridden(folder, f"~models.{model}")
    assert [line for line in after.splitlines() if line.lstrip().startswith("#")] == comments


def test_a_model_without_a_script_is_refused(folder):
    (folder / "stages/train/cnn2.py").unlink()
    with pytest.raises(UserError, match=r"^params\.yaml: models\.cnn2 has no script stages/train/cnn2\.py; "):
        load.load("seed")


def test_the_lines_that_dvc_yaml_lacks_for_a_new_model_are_named(folder):
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("  cnn2:\n", "  cnn4:\n", 1))
    shutil.copy("stages/train/cnn2.py", "stages/train/cnn4.py")
    with pytest.raises(UserError) as error:
        load.load("seed")
    assert str(error.value) == (
        "params.yaml: models.cnn4 is not listed in dvc.yaml yet; add metrics/validation/cnn4.json to the deps of tune, "
        "and metrics/validation/cnn4.json, metrics/test/cnn4.json, metrics/images/cnn4.csv to the deps of report"
    )


PATHS = {
    "a path out of the folder": "../lib/cnn",
    "a path in the folder": "./cnn2",
    "a file name": "cnn2.py",
    "nothing": "",
    "two words": "cnn 2",
    "a digit in front": "2cnn",
    "a line in front": "_cnn",
    "the package's own file": "__init__",
    "a letter that looks like another": "сnn2",
}


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS)
def test_a_model_is_not_named_by_a_path(raw_params, name):
    raw_params["models"][name] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=rf"^params\.yaml: models\.{re.escape(name)} is no name; allowed: letters"):
        load.parse(raw_params)


@pytest.mark.parametrize("name", ["best", "Best", "control"])
def test_the_names_of_what_best_trains_are_taken(raw_params, name):
    raw_params["models"][name] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=rf"models\.{name} is the name of what the stage best trains"):
        load.parse(raw_params)


def test_the_names_of_two_models_do_not_differ_in_case_only(raw_params):
    raw_params["models"]["CNN2"] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match="two names that differ in case only"):
        load.parse(raw_params)


ADDRESSES = ["https://zenodo.org/records/1/files/a.npz?download=1", "http://[::1]:80/a", "https://host/a@1?design=b"]


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_address_without_a_secret_is_accepted(raw_params, path):
    assert load.parse(change(raw_params, "data.path", path)).data.path == path


def test_a_changed_block_is_checked(params):
    with pytest.raises(ValueError, match=r"^here: 1\.0 is refused; allowed: it should be less than 1$"):
        override(params.models["cnn2"], {"dropout": 1.0}, "here")


NO_MAPPINGS = {
    "a list": "- 1",
    "a key given twice": "seed: 1\nseed: 2",
    "an alias": "seed: *other",
    "a tag": "seed: !!python/object:os.system {}",
    "a list as a key": "? [a]\n: 1",
    "a number as a key": "{1: 2}",
    "a date that is none": "seed: 2001-99-99",
    "a list as a key in braces": "{[1]: 2}",
    "a merge": "<<: 1",
    "two documents": "--- a\n--- b",
}


@pytest.mark.parametrize("text", NO_MAPPINGS.values(), ids=NO_MAPPINGS)
def test_a_file_that_is_no_mapping_of_sections_is_refused(folder, text):
    (folder / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params\.yaml"):
        load.load("seed")


def test_a_fault_in_the_text_is_named_with_its_line(folder):
    (folder / "params.yaml").write_text("seed: 1\nseed: 2\n")
    with pytest.raises(UserError, match=r"^params\.yaml, line 2: is not valid YAML \(while .+ duplicate key .seed.\)"):
        load.load("seed")


def test_a_file_that_is_no_text_is_refused(folder):
    (folder / "params.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(UserError, match=r"^params\.yaml: is not UTF-8 text"):
        load.load("seed")


def test_a_missing_file_is_named(folder):
    (folder / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"^params\.yaml: is missing from this folder"):
        load.load("seed")


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["cnn", "low"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def paths(section: dict, above: tuple = ()) -> list[tuple]:
    """The path of every key, at any depth."""
    found = []
    for key, value in section.items():
        found.append((*above, key))
        if isinstance(value, dict):
            found += paths(value, (*above, key))
    return found


@given(path=st.sampled_from(paths(COMMITTED)), value=YAML_VALUES)
@settings(max_examples=300, deadline=None)
def test_any_value_anywhere_is_accepted_or_refused_in_one_line(path, value):
    raw = section = copy.deepcopy(COMMITTED)
    *parents, last = path
    for part in parents:
        section = section[part]
    section[last] = value
    try:
        load.parse(raw)
    except UserError as error:
        assert str(error).startswith("params.yaml: ")
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 500


@given(text=st.text(max_size=60) | st.text("{}[]:-#&*!|>'\"%@`,? \nab1", max_size=40))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_refused_in_one_line(text, folder):
    (folder / "params.yaml").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UserError) as error:
        load.load("seed")
    assert len(str(error.value).splitlines()) == 1


def test_numbers_are_read_as_dvc_writes_them(folder, raw_params):
    dump_yaml("params.yaml", change(raw_params, "models.cnn2.learning_rate", 1e-05))
    assert "1e-05" in (folder / "params.yaml").read_text()
    assert load.load("models.cnn2").models["cnn2"].learning_rate == 1e-05
