"""The six models have the study's size, and give the same probabilities however they are called."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from networks import CALLS, backbone_of

from study.base import files
from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.common import scripts
from study.params.schema import override

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


@dataclass
class Called:
    """A model, and what it gave each way it was called, fresh and read from its file."""

    parameters: int
    probabilities: dict[str, np.ndarray]
    changed: dict[str, int]  # how many weights differ afterwards
    folder: Path


@pytest.fixture(scope="module", params=PARAMETERS)
def called(request, params, tmp_path_factory) -> Called:
    """A fresh CNN runs in a graph, as in the stages; a graph of the others would take ten times as long to make."""
    folder = tmp_path_factory.mktemp(request.param)
    keras.utils.set_random_seed(0)
    model = scripts.architecture(request.param).build(params.models[request.param], (32, 32, 3), 10)
    record = Called(model.count_params(), {}, {}, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHECKPOINTS", folder / "checkpoints")
        keras_file.write(folder / "model.keras", model)
    if request.param == "resnet101":
        backbone_of(model).save_weights(folder / "resnet101.weights.h5")
    before = model.get_weights()
    for state in ("fresh", "read"):
        if state == "read":
            model = keras_file.read(folder / "model.keras")
        model.run_eagerly = state == "read" or request.param.startswith("resnet")
        for name, call in CALLS.items():
            record.probabilities[f"{name}, {state}"] = call(model, IMAGES)
        pairs = zip(before, model.get_weights(), strict=True)
        record.changed[state] = sum(not np.array_equal(one, other) for one, other in pairs)
    return record


def test_parameter_counts_are_the_studys(called, request):
    assert called.parameters == PARAMETERS[request.node.callspec.params["called"]]


def test_a_model_gives_the_same_probabilities_however_it_is_called(called):
    first, *others = called.probabilities.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)


def test_calling_a_model_changes_no_weight(called):
    assert called.changed == {"fresh": 0, "read": 0}


@pytest.fixture(scope="module")
def refused(called, params) -> tuple[str, list[str]]:
    """What a ResNet50 is told that is given the weights of a ResNet101, and the warnings before it."""
    block = override(params.models["resnet50"], {"weights": str(called.folder / "resnet101.weights.h5")}, "test")
    with warnings.catch_warnings(record=True) as shown, pytest.raises(UserError) as error:
        scripts.architecture("resnet50").build(block, (32, 32, 3), 10)
    return str(error.value), [str(warning.message) for warning in shown if warning.category is UserWarning]


@pytest.mark.parametrize("called", ["resnet101"], indirect=True)
def test_weights_of_another_depth_are_refused(refused):
    pattern = r"^weights is .*/resnet101\.weights\.h5, which does not hold the weights of a ResNet50 backbone \(.*\); "
    assert re.match(pattern, refused[0])


@pytest.mark.parametrize("called", ["resnet101"], indirect=True)
def test_weights_of_another_depth_are_refused_without_a_warning(refused):
    """Which would stand before the one line."""
    assert refused[1] == []


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
