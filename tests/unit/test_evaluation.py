"""What a model makes of the test split is written, and a model that does not fit it is refused."""

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import stages.evaluate
from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.evaluation import evaluate
from study.evaluation.final_scores import FinalScores
from study.model_files.repeats_file import Repeats
from study.report import run
from study.scoring.predict import predict

ONCE = Repeats([42], [])


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with a test split of twenty images of two classes."""
    monkeypatch.chdir(tmp_path)
    labels = np.arange(20, dtype=np.uint8) % 2
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    files.write_npz(arrays.TEST, x_test=images, y_test=labels, class_names=np.array(["a", "b"]))
    return tmp_path


def network(shape: tuple[int, ...] = (8, 8, 3), classes: int = 2, bias: float = 0.0) -> keras.Model:
    inputs = keras.Input(shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    constant = keras.initializers.Constant(bias)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", bias_initializer=constant)(x))


UNFIT = {
    "images of another size": {"shape": (9, 8, 3)},
    "another number of classes": {"classes": 3},
    "probabilities that are no numbers": {"bias": np.nan},
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_a_model_that_does_not_fit_the_test_split_is_refused_with_its_remedy_and_leaves_no_file(folder, change):
    with pytest.raises(UserError, match=r"^models/cnn2\.keras: .*dvc repro"):
        evaluate.evaluate("cnn2", network(**change), ONCE)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["test.npz"]


def test_a_lack_of_memory_names_the_model(folder, monkeypatch):
    def lack(*arguments):
        raise MemoryError("Unable to allocate 7.28 TiB for an array")

    monkeypatch.setattr(evaluate, "predict", lack)
    with pytest.raises(UserError, match=r"^models/cnn2\.keras: out of memory \(Unable to allocate 7\.28 TiB .*\); "):
        evaluate.evaluate("cnn2", network(), ONCE)


@pytest.fixture
def evaluated(folder) -> np.ndarray:
    """The probabilities that a model gave when it was evaluated in the working folder."""
    model = network()
    evaluate.evaluate("cnn2", model, ONCE)
    return predict(model, files.read_npz(arrays.TEST)["x_test"])


def test_the_predictions_are_those_of_the_model(evaluated):
    np.testing.assert_array_equal(files.read_npz("data/predictions/cnn2.npz")["probabilities"], evaluated)


def test_the_scores_are_those_of_the_predictions_and_classes_stand_in_order(evaluated):
    record = files.read_json("metrics/test/cnn2.json", FinalScores)
    assert record["accuracy"] == pytest.approx((evaluated.argmax(axis=1) == np.arange(20) % 2).mean())
    assert [row["class"] for row in record["class_roc_auc"]] == ["a", "b"]
    area = roc_auc_score(np.arange(20) % 2 == 0, evaluated[:, 0])
    assert record["class_roc_auc"][0]["roc_auc"] == pytest.approx(area, abs=1e-6)


def test_the_scores_of_images_are_those_of_the_predictions_and_name_the_images(evaluated):
    images, pixels = run.working_folder().images("cnn2", ["a", "b"]), files.read_npz(arrays.TEST)["x_test"]
    assert images.image.tolist() == [hashlib.sha256(image.tobytes()).hexdigest()[:8] for image in pixels]
    np.testing.assert_array_equal(images.predicted, evaluated.argmax(axis=1))
    np.testing.assert_allclose(images.confidence, evaluated.max(axis=1), rtol=1e-5)


def test_evaluate_without_a_name_says_how_to_call_it():
    with pytest.raises(UserError, match="python -m stages.evaluate cnn2$"):
        stages.evaluate.main()
