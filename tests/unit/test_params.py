"""params.yaml is checked whole, and each fault gets one line that names the key, the value and what is allowed."""

import copy
import itertools
import re
import shlex
import shutil

import pytest
from dvc.utils import hydra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project import ROOT
from ruamel.yaml import YAML

from stages.lib import params
from stages.lib.errors import UserError

REMOVED = object()
COMMITTED = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))


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


def test_the_committed_file_is_accepted(raw_params):
    assert list(params.parse(raw_params).models) == list(raw_params["models"])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", -1, "seed is -1"),
        ("seed", "42", "seed is '42'"),
        ("seed", 10**30, "less than 2147483648"),
        ("seed", REMOVED, "seed is missing"),
        ("sed", 1, "sed is not a known key; did you mean seed?"),
        ("data.source", "mnist", "data.source is 'mnist'; allowed: it should be 'synthetic', 'cifar10' or 'npz'"),
        ("data.source", "npz", "source npz needs path and sha256"),
        ("data.sha256", "ABC", "data.sha256 is 'ABC'"),
        ("data.synthetic.train_images", 0, "data.synthetic.train_images is 0"),
        ("data.synthetic.leaks", 1495, "at least 20 + duplicates + leaks"),
        ("data.synthetic.noise", float("nan"), "data.synthetic.noise is nan"),
        ("prepare", 3, "prepare is 3"),
        ("prepare", REMOVED, "prepare is missing"),
        ("prepare.validation_fraction", 1.5, "prepare.validation_fraction is 1.5; allowed: it should be less than 1"),
        ("prepare.validation_fraction", 0, "prepare.validation_fraction is 0"),
        ("scoring.bootstrap_replicates", 10, "greater than or equal to 100"),
        ("models", {}, "at least one model"),
        ("models.best", {"family": "cnn"}, "models.best.epochs is missing"),
        ("models.cnn2.learning_rate", 0, "models.cnn2.learning_rate is 0; allowed: it should be greater than 0"),
        ("models.cnn2.learning_rate", float("inf"), "models.cnn2.learning_rate is inf"),
        ("models.cnn2.learning_rate", True, "models.cnn2.learning_rate is True"),
        ("models.cnn2.dropout", 1.5, "models.cnn2.dropout is 1.5; allowed: it should be less than 1"),
        ("models.cnn2.droput", 0.1, "models.cnn2.droput is not a known key; did you mean dropout?"),
        ("models.cnn2.epochs", 0, "models.cnn2.epochs is 0"),
        ("models.cnn2.epochs", 2.5, "models.cnn2.epochs is 2.5"),
        ("models.cnn2.family", "vit", "models.cnn2.family is 'vit'; allowed: 'cnn', 'resnet'"),
        ("models.cnn2.family", REMOVED, "models.cnn2.family is missing"),
        ("models.cnn2.optimizer", "adamw", "'adam', 'rmsprop' or 'sgd'"),
        ("models.cnn2.precision", "float16", "'float32' or 'mixed_bfloat16'"),
        ("models.cnn2.schedule.name", "step", "models.cnn2.schedule.name is 'step'; allowed: 'cosine', 'plateau'"),
        ("models.cnn2.schedule.warmup_fraction", -1, "models.cnn2.schedule.warmup_fraction is -1"),
        ("models.cnn3_plateau.schedule.factor", 1.0, "models.cnn3_plateau.schedule.factor is 1.0"),
        ("models.cnn2.augmentation.flip", "yes", "models.cnn2.augmentation.flip is 'yes'"),
        ("models.resnet50.image_size", 16, "models.resnet50.image_size is 16"),
        ("models.resnet50.head.epochs", 0, "models.resnet50.head.epochs is 0"),
        ("models.resnet50.pooling", "mean", "'avg' or 'max'"),
        ("tune.models", 99, "tune.models is 99; allowed: 1 to "),
        ("tune.models", ["cnn9"], "tune.models names cnn9; allowed: cnn2, cnn2_dropout"),
        ("tune.models", "cnn2", "tune.models is 'cnn2'"),
        ("tune.space.cnn.learning_rate", {"low": 0.1, "high": 0.2}, "tune.space.cnn.learning_rate.log is missing"),
        ("tune.models", [], "tune.models is an empty list"),
        ("tune.pruner", "best", "'median', 'hyperband' or 'none'"),
        ("tune.space.cnn.droput", [0.1], "tune.space.cnn.droput is no knob of a cnn block; did you mean dropout?"),
        ("tune.space.cnn.dropout", [1.0], "dropout, of cnn2: 1.0 is refused; allowed: it should be less than 1"),
        ("tune.space.cnn.batch_size", [], "tune.space.cnn.batch_size is an empty list"),
        ("tune.space.cnn.learning_rate.low", 1.0, "low must be below high"),
        ("tune.space.cnn.learning_rate.low", 0.0, "above 0 where log is true"),
        ("seed", None, "seed is None"),
        ("seed", 1.0, "seed is 1.0"),
        ("seed", [1], "seed is [1]"),
        ("data", REMOVED, "data is missing"),
        ("data", [], "data is []"),
        ("scoring", REMOVED, "scoring is missing"),
        ("models", REMOVED, "models is missing"),
        ("models", ["cnn2"], "models is ['cnn2']"),
        ("models.cnn2", None, "models.cnn2"),
        ("tune", REMOVED, "tune is missing"),
        ("tune.space", REMOVED, "tune.space is missing"),
        ("dta", {}, "dta is not a known key; did you mean data?"),
        ("Seed", 1, "Seed is not a known key; did you mean seed?"),
        ("sämen", 1, "sämen is not a known key"),
        ("data.source", "合成", "data.source is '合成'"),
        ("data.source", None, "data.source is None"),
        ("data.path", 3, "data.path is 3"),
        ("data.synthetic.train_images", 10**30, "less than or equal to 1000000"),
        ("data.synthetic.test_images", 9, "test_images must be at least 10"),
        ("data.synthetic.noise", -0.1, "data.synthetic.noise is -0.1"),
        ("data.synthetic.noise", "16", "data.synthetic.noise is '16'"),
        ("data.synthetic.duplicate", 3, "did you mean duplicates?"),
        ("prepare.validation_fraction", float("nan"), "prepare.validation_fraction is nan"),
        ("prepare.validation_fraction", None, "prepare.validation_fraction is None"),
        ("scoring.bootstrap_replicates", 10**9, "less than or equal to 100000"),
        ("scoring.bootstrap_replicates", 1000.5, "scoring.bootstrap_replicates is 1000.5"),
        ("models.cnn2.batch_size", 0, "models.cnn2.batch_size is 0"),
        ("models.cnn2.batch_size", -(10**25), "greater than or equal to 1"),
        ("models.cnn2.batch_size", False, "models.cnn2.batch_size is False"),
        ("models.cnn2.learning_rate", "1e-3", "models.cnn2.learning_rate is '1e-3'"),
        ("models.cnn2.learning_rate", -float("inf"), "models.cnn2.learning_rate is -inf"),
        ("models.cnn2.label_smoothing", 1, "models.cnn2.label_smoothing is 1"),
        ("models.cnn2.weight_decay", -0.1, "models.cnn2.weight_decay is -0.1"),
        ("models.cnn2.schedule", "cosine", "models.cnn2.schedule is 'cosine'"),
        ("models.cnn2.schedule.patience", 3, "models.cnn2.schedule.patience is not a known key"),
        ("models.cnn2.augmentation.shift_pixels", 65, "models.cnn2.augmentation.shift_pixels is 65"),
        ("models.cnn2.augmentation.shift_pixel", 3, "did you mean shift_pixels?"),
        ("models.cnn2.weights", None, "models.cnn2.weights is not a known key"),
        ("models.cnn2.early_stopping_patience", 0, "models.cnn2.early_stopping_patience is 0"),
        ("models.cnn3_plateau.schedule.minimum_learning_rate", 0.5, "must not exceed learning_rate"),
        ("models.resnet50.weights", 7, "models.resnet50.weights is 7"),
        ("models.resnet50.image_size", 100000, "less than or equal to 1024"),
        ("models.resnet50.head", REMOVED, "models.resnet50.head is missing"),
        ("tune.trials", 0, "tune.trials is 0"),
        ("tune.epochs", -1, "tune.epochs is -1"),
        ("tune.startup_trials", None, "tune.startup_trials is None"),
        ("tune.models", 0, "tune.models is 0"),
        ("tune.space.transformer", {}, "tune.space.transformer is not a known key"),
        ("tune.space.cnn.dropout", 0.3, "tune.space.cnn.dropout is 0.3"),
        ("tune.space.cnn.dropout", {"low": "a", "high": 0.5, "log": False}, "tune.space.cnn.dropout.low is 'a'"),
        ("tune.space.cnn.dropout.high", float("nan"), "tune.space.cnn.dropout.high is nan"),
        (
            "tune.space.cnn.early_stopping_patience",
            {"low": 2, "high": 5, "log": False},
            "tune.space.cnn.early_stopping_patience is a range, but cnn2 has None",
        ),
        ("models.cnn2.schedule.warmup_fraction", 1.0, "models.cnn2.schedule.warmup_fraction is 1.0"),
        ("a\nb", 1, "is not a known key"),
        ("tune.models", ["a\x85b"], "tune.models names a b"),
        ("tune.space.cnn.family", ["resnet"], "tune.space.cnn.family is no knob"),
        ("tune.sampler", "random", "tune.sampler is 'random'; allowed: it should be 'tpe' or 'grid'"),
        ("tune.sampler", "grid", "tune.space.cnn.learning_rate is a range; allowed with tune.sampler grid"),
        ("models.cnn2.further_blocks", 5, "models.cnn2.further_blocks is 5"),
        ("models.cnn2.convolutions_per_block", 0, "models.cnn2.convolutions_per_block is 0"),
        ("data.synthetic.duplicates", 800, "duplicates must be at most half of train_images without leaks"),
        ("models", {"c" * 300: {}}, "models.ccc"),
        ("models.cnn2.width_multiplier", 0.5, "models.cnn2.width_multiplier is 0.5"),
        ("tune.space.cnn.batch_size", [0], "tune.space.cnn.batch_size, of cnn2: 0 is refused"),
        ("tune.space.resnet.learning_rate.high", 11.0, "tune.space.resnet.learning_rate, of resnet50: 11.0 is refused"),
    ],
)
def test_a_fault_is_named_in_one_line(raw_params, key, value, said):
    with pytest.raises(UserError) as error:
        params.parse(change(raw_params, key, value))
    message = str(error.value)
    assert message.startswith("params.yaml: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("tuned", "key", "value"),
    [
        ("cnn2", "tune.space.cnn.learning_rate.low", 5e-6),  # below the minimum of cnn3_plateau's schedule
        ("cnn3_plateau", "tune.space.cnn.early_stopping_patience", {"low": 2, "high": 6, "log": False}),
        ("cnn2", "tune.space.resnet.learning_rate.high", 11.0),
    ],
)
def test_the_space_need_only_fit_the_models_that_are_tuned(raw_params, tuned, key, value):
    with pytest.raises(UserError, match=key.rpartition(".")[0]):
        params.parse(copy.deepcopy(change(raw_params, key, value)))
    raw_params["tune"]["models"] = [tuned]
    params.parse(raw_params)


def experiments() -> list[str]:
    """The `dvc exp run` commands of README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    return [found for found in re.findall(r"dvc exp run [^`\n]+", text) if " -S " in found]


@pytest.mark.parametrize("command", experiments())
def test_the_overrides_of_a_documented_experiment_are_accepted(command, tmp_path):
    words = shlex.split(re.sub(r"\$\(.+\)", "0" * 64, command))
    overrides = [value for flag, value in itertools.pairwise(words) if flag == "-S"]
    for sweep in hydra.get_hydra_sweeps({"params.yaml": overrides}):
        shutil.copy(ROOT / "params.yaml", tmp_path)
        hydra.apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])
        params.parse(YAML(typ="safe").load((tmp_path / "params.yaml").read_text(encoding="utf-8")))


def test_there_are_documented_experiments():
    assert len(experiments()) >= 6


def test_a_model_without_a_script_is_refused(raw_params):
    raw_params["models"]["cnn4"] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=r"models.cnn4 has no script stages/train/cnn4.py"):
        params.parse(raw_params)


@pytest.mark.parametrize("name", ["../lib/cnn", "./cnn2", "cnn2.py", "", "cnn 2"])
def test_a_model_whose_name_is_a_path_is_refused(raw_params, name):
    raw_params["models"][name] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match="has no script"):
        params.parse(raw_params)


def test_the_winners_name_is_taken(raw_params):
    raw_params["models"]["best"] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=r"models\.best is the name of the tuned winner"):
        params.parse(raw_params)


@pytest.mark.parametrize(
    "text",
    [
        "seed: [",
        "a: b: c",
        "- 1",
        "",
        "\t",
        "seed: 1\nseed: 2",
        "seed: *other",
        "seed: !!python/object:os.system {}",
        "seed: 'x",
        "%YAML",
        "seed: \x00",
        "? [a]\n: 1",
        "{1: 2}",
        "null",
        "42",
        "seed: 2001-99-99",
        "{[1]: 2}",
        "<<: 1",
        "--- a\n--- b",
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params.yaml"):
        params.load("seed")


def test_a_number_too_long_to_show_is_refused(raw_params):
    with pytest.raises(UserError, match="seed is a number too long to show"):
        params.parse(change(raw_params, "seed", 10**6000))


def test_aliases_that_multiply_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    (tmp_path / "params.yaml").write_text("\n".join(["a0: &a0 [1]", *levels, "seed: *a11"]))
    with pytest.raises(UserError, match=r"^params.yaml"):
        params.load("seed")


def test_a_block_of_another_family_than_its_script_is_refused(raw_params, prepared, as_run):
    from stages.train import cnn2, resnet50

    models = params.parse(raw_params).models
    for script, block in ((cnn2, models["resnet50"]), (resnet50, models["cnn2"])):
        with pytest.raises(UserError, match="make them agree"):
            script.build(as_run(block, prepared))


def test_a_file_that_is_no_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(UserError, match=r"params.yaml: is not UTF-8 text"):
        params.load("seed")


def test_a_folder_in_the_files_place_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(OSError, match=r"params.yaml"):
        params.load("seed")


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["cnn", "low"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def leaves(section: dict, path: tuple = ()) -> list[tuple]:
    found = []
    for key, value in section.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += leaves(value, (*path, key))
    return found


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_value_anywhere_is_accepted_or_refused_in_one_line(data):
    raw = copy.deepcopy(COMMITTED)
    *parents, last = data.draw(st.sampled_from(leaves(raw)))
    section = raw
    for part in parents:
        section = section[part]
    section[last] = data.draw(YAML_VALUES)
    try:
        params.parse(raw)
    except UserError as error:
        assert str(error).startswith("params.yaml: ")
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 500


@given(text=st.text(max_size=60) | st.text("{}[]:-#&*!|>'\"%@`,? \nab1", max_size=40))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_refused_in_one_line(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UserError) as error:
        params.load("seed")
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is missing from this folder"):
        params.load("seed")


def test_numbers_are_read_as_dvc_writes_them(tmp_path, monkeypatch, raw_params):
    from dvc.utils.serialize import dump_yaml

    monkeypatch.setattr(params.Path, "is_file", lambda self: True)
    monkeypatch.chdir(tmp_path)
    dump_yaml("params.yaml", change(raw_params, "models.cnn2.learning_rate", 1e-05))
    assert "1e-05" in (tmp_path / "params.yaml").read_text()
    assert params.load("models.cnn2").learning_rate == 1e-05
