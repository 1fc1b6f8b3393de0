"""params.yaml is checked whole, and each fault gets one line that names the key, the value and what is allowed."""

import pytest

from stages.lib import params
from stages.lib.errors import UserError

REMOVED = object()


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
        ("models.cnn2.schedule.warmup_epochs", -1, "models.cnn2.schedule.warmup_epochs is -1"),
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
        ("tune.space.cnn.dropout", [1.0], "tune.space.cnn.dropout: 1.0 is refused; allowed: it should be less than 1"),
        ("tune.space.cnn.batch_size", [], "tune.space.cnn.batch_size is an empty list"),
        ("tune.space.cnn.learning_rate.low", 1.0, "low must be below high"),
        ("tune.space.cnn.learning_rate.low", 0.0, "above 0 where log is true"),
    ],
)
def test_a_fault_is_named_in_one_line(raw_params, key, value, said):
    with pytest.raises(UserError) as error:
        params.parse(change(raw_params, key, value))
    message = str(error.value)
    assert message.startswith("params.yaml: ")
    assert said in message
    assert "\n" not in message


def test_a_model_without_a_script_is_refused(raw_params):
    raw_params["models"]["cnn4"] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=r"models.cnn4 has no script stages/train/cnn4.py"):
        params.parse(raw_params)


def test_the_winners_name_is_taken(raw_params):
    raw_params["models"]["best"] = raw_params["models"]["cnn2"]
    with pytest.raises(UserError, match=r"models\.best is the name of the tuned winner"):
        params.parse(raw_params)


@pytest.mark.parametrize("text", ["seed: [", "a: b: c", "- 1", "", "\t"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params.yaml"):
        params.load("seed")


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
