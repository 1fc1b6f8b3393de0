"""What the stage of a training writes: the model, its repeats, and their validation scores."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from networks import TINY

from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.model_files import keras_file, repeats_file
from study.params.schema import override
from study.report.comparisons import Validation
from study.scoring import calibration
from study.scoring.predict import predict
from study.scoring.scores import point
from study.training import stage
from study.training.run import repeats, seed_of

REPEATS = 3


@pytest.fixture(scope="module")
def written(cnn_block, prepared, tmp_path_factory) -> SimpleNamespace:
    """The folder, the validation split and the model of a training with three repeats."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        files.write_npz(
            arrays.PREPARED,
            x_train=prepared.train.images,
            y_train=prepared.train.labels,
            x_validation=prepared.validation.images,
            y_validation=prepared.validation.labels,
            class_names=np.array(prepared.class_names),
        )
        block = override(cnn_block, {"repeats": REPEATS, "epochs": 2}, "test")
        trained = stage.train_block("cnn2", TINY, repeats("cnn2", "cnn2", block, 1, "test"))
        stage.write("cnn2", trained)
    return SimpleNamespace(folder=folder, validation=prepared.validation, model=trained.model)


@pytest.fixture
def folder(written, monkeypatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(written.folder)
    return written.folder


def record() -> Validation:
    return files.read_json("metrics/validation/cnn2.json", Validation)


def scores_of(model: keras.Model, written: SimpleNamespace) -> dict[str, float]:
    return point(written.validation.labels, predict(model, written.validation.images))


def test_the_model_is_that_of_the_seed_itself(written, folder):
    assert record()["roc_auc"] == pytest.approx(scores_of(keras_file.read("models/cnn2.keras"), written)["roc_auc"])
    assert record()["repeats"][0]["roc_auc"] == pytest.approx(record()["roc_auc"])


def test_each_repeat_has_its_seed_and_its_scores(written, folder):
    kept, model = repeats_file.read("cnn2"), keras_file.read("models/cnn2.keras")
    assert kept.seeds == [1, seed_of(1, 1), seed_of(1, 2)]
    for row, seed, each in zip(record()["repeats"], kept.seeds, repeats_file.each("cnn2", model, kept), strict=True):
        assert row == pytest.approx({"seed": seed} | scores_of(each, written), rel=1e-5)


def test_a_model_has_its_own_weights_again_after_its_repeats(folder):
    model = keras_file.read("models/cnn2.keras")
    own = model.get_weights()
    assert len(list(repeats_file.each("cnn2", model, repeats_file.read("cnn2")))) == REPEATS
    for one, other in zip(own, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_repeats_have_other_weights(folder):
    one, other = repeats_file.read("cnn2").weights
    assert not np.array_equal(one[0], other[0])


def test_the_temperature_is_that_of_the_models_predictions(written, folder):
    probabilities = predict(written.model, written.validation.images)
    expected = calibration.temperature(written.validation.labels, probabilities)
    assert record()["temperature"] == pytest.approx(expected, abs=1e-5)


def test_the_history_has_a_row_per_epoch(folder):
    assert [row["epoch"] for row in record()["history"]] == [1, 2]


def test_dvc_shows_no_number_of_a_single_repeat_or_epoch(folder):
    """It shows what stands outside of lists."""
    written = files.read_json("metrics/validation/cnn2.json", dict)
    shown = [key for key, value in written.items() if not isinstance(value, list)]
    assert shown == ["roc_auc", "roc_auc_low", "roc_auc_high", "accuracy", "log_loss", "temperature"]


def test_weights_that_do_not_fit_the_model_are_refused(written, folder):
    other = repeats_file.Repeats([1, 2], [[np.zeros(3)]])
    with pytest.raises(UserError, match=r"^models/repeats/cnn2\.npz: does not fit models/cnn2\.keras; "):
        list(repeats_file.each("cnn2", keras_file.read("models/cnn2.keras"), other))
