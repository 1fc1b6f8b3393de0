"""The search starts from the model's own block, whatever its space, and leaves no trial without an end."""

import optuna
import pytest

from stages import tune
from stages.lib import params


@pytest.mark.parametrize(
    ("knob", "values", "own"),
    [
        ("batch_size", [16, 32], 64),
        ("learning_rate", params.Range(low=0.01, high=0.1, log=True), 0.001),
        ("dropout", params.Range(low=0.1, high=0.5, log=False), 0.0),
        ("batch_size", params.Range(low=8, high=64, log=True), 16),
        ("optimizer", ["adam", "sgd"], "rmsprop"),
    ],
)
def test_the_first_trial_takes_the_blocks_own_value(knob, values, own):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({knob: own})
    study.optimize(lambda trial: float(tune.suggest(trial, knob, values, own) == own), n_trials=5)
    assert study.trials[0].value == 1.0
    assert type(study.trials[0].params[knob]) is type(own)


def test_candidates_are_the_best_on_validation_or_those_named(tmp_path, monkeypatch, raw_params):
    monkeypatch.setattr(
        tune.files,
        "read_json",
        lambda path: {"roc_auc": {"cnn2": 0.8, "resnet50": 0.9}.get(path.split("/")[-1][:-5], 0.1)},
    )
    checked = params.parse(raw_params)
    assert tune.candidates(checked.models, checked.tune.model_copy(update={"models": 2})) == ["resnet50", "cnn2"]
    assert tune.candidates(checked.models, checked.tune.model_copy(update={"models": ["cnn3_plateau"]})) == [
        "cnn3_plateau"
    ]
