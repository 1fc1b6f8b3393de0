"""The six models have the study's size, and give the same probabilities however they are called."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from networks import CALLS

from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.common import scripts

# Keras takes the one input of its own file for a list.
pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs`")
# The original study's figures: parameters of each model for ten classes of 32 x 32 colour images.
PARAMETERS = {
    "cnn2": 1_259_914,
    "cnn2_dropout": 1_259_914,
    "cnn3_dropout": 219_850,
    "cnn3_plateau": 229_066,
    "resnet50": 23_608_202,
    "resnet101": 42_678_666,
}
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items(), ids=PARAMETERS)
def test_parameter_counts_are_the_studys(params, name, parameters):
    with keras.StatelessScope(initialize_variables=False):  # its weights take neither memory nor time
        model = scripts.architecture(name).build(params.models[name], (32, 32, 3), 10)
    assert model.count_params() == parameters


@dataclass
class Called:
    """What a CNN gave each way it was called, fresh and read from its file."""

    probabilities: dict[str, np.ndarray]
    changed: dict[str, int]  # how many weights differ afterwards


@pytest.fixture(scope="module")
def called(params, checkpoints_of_module, tmp_path_factory) -> Called:
    """It runs in a graph while it is fresh, as in the stages."""
    path, name = tmp_path_factory.mktemp("called") / "model.keras", "cnn3_plateau"
    model, record = scripts.architecture(name).build(params.models[name], (32, 32, 3), 10), Called({}, {})
    keras_file.write(path, model)
    before = model.get_weights()
    for state in ("fresh", "read"):
        if state == "read":
            model = keras_file.read(path)
            model.run_eagerly = True
        for way, call in CALLS.items():
            record.probabilities[f"{way}, {state}"] = call(model, IMAGES)
        pairs = zip(before, model.get_weights(), strict=True)
        record.changed[state] = sum(not np.array_equal(one, other) for one, other in pairs)
    return record


@pytest.mark.slow
def test_a_model_gives_the_same_probabilities_however_it_is_called(called):
    first, *others = called.probabilities.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)


def test_calling_a_model_changes_no_weight(called):
    assert called.changed == {"fresh": 0, "read": 0}


def test_the_six_models_are_the_committed_ones(params):
    assert list(params.models) == list(PARAMETERS)


@pytest.mark.parametrize(
    ("script", "block"), [pytest.param("cnn2", "resnet50", id="cnn"), pytest.param("resnet50", "cnn2", id="resnet")]
)
def test_a_block_of_another_family_than_its_script_is_refused(params, script, block):
    with pytest.raises(
        UserError, match=r"^family is (cnn|resnet), but its script builds a (cnn|resnet); make them agree$"
    ):
        scripts.architecture(script).build(params.models[block], (32, 32, 3), 10)
