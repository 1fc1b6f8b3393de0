"""Models are ranked and compared by what stages recorded of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import pictures, record, sample, unequal, validation
from sklearn.metrics import precision_recall_fscore_support, roc_curve

from benchmarks import bootstrap
from study import files
from study.review import comparisons
from study.review.comparisons import Difference, Ranked
from study.runtime import UserError
from study.scoring import image_scores
from study.scoring.image_scores import ImageScores
from study.scoring.scores import normalised
from study.search import winner

CLASSES = 3
NAMES = ["a", "b", "c"]
TEST_ROC_AUC = {"cnn2": 0.80, "resnet50": 0.90, "best": 0.85}
LABELS, PROBABILITIES = sample(0, 150, CLASSES)


def probabilities_of(model: str) -> np.ndarray:
    """Probabilities that lean the more to the labels the better the model."""
    return normalised(PROBABILITIES ** TEST_ROC_AUC[model] + np.eye(CLASSES)[LABELS] * (TEST_ROC_AUC[model] - 0.7))


def ranked(labels: np.ndarray, probabilities: np.ndarray) -> Ranked:
    return Ranked("model", record(0.8), validation(0.8), scored(labels, probabilities))


def scored(labels: np.ndarray, probabilities: np.ndarray) -> ImageScores:
    return image_scores.image_scores(pictures(len(labels)), labels, [probabilities])


@pytest.fixture
def models(params) -> dict:
    return {name: params.models[name] for name in ("cnn2", "resnet50")}


@pytest.fixture
def recorded(tmp_path, monkeypatch, tuned) -> Path:
    """The working folder, with the metrics of two models and of the tuned cnn2."""
    monkeypatch.chdir(tmp_path)
    winner.write(tuned)
    for name in TEST_ROC_AUC:
        files.write_json(f"metrics/validation/{name}.json", validation(0.87 if name == "best" else 0.82))
    for name, area in TEST_ROC_AUC.items():
        files.write_json(f"metrics/test/{name}.json", record(area))
        image_scores.write(name, scored(LABELS, probabilities_of(name)), NAMES)
    return tmp_path


def test_models_are_ranked_by_their_test_roc_auc(recorded, models):
    ranking = comparisons.compare(models, NAMES).ranking
    assert [model.name for model in ranking] == ["resnet50", "best", "cnn2"]


def test_a_ranked_model_has_its_recorded_scores(recorded, models):
    best = comparisons.compare(models, NAMES).ranking[1]
    assert (best.test, best.validation) == (record(0.85), validation(0.87))


def test_the_first_is_compared_with_each_other_one(recorded, models):
    from_first = comparisons.compare(models, NAMES).from_first
    assert [(difference.one, difference.other) for difference in from_first] == [
        ("resnet50", "best"),
        ("resnet50", "cnn2"),
    ]


def test_a_difference_is_that_of_the_recorded_scores(recorded, models):
    difference = comparisons.compare(models, NAMES).from_first[1]
    assert difference.value == pytest.approx(0.10)


def test_the_interval_of_a_difference_is_as_wide_as_that_of_the_paired_bootstrap(recorded, models):
    difference = comparisons.compare(models, NAMES).from_first[1]
    one, other = (bootstrap.bootstrap(LABELS, probabilities_of(name), 2000, 0) for name in ("resnet50", "cnn2"))
    width = 2 * 1.96 * (one - other).std()
    assert difference.high - difference.low == pytest.approx(width, rel=0.15)


def test_tuning_is_the_difference_between_the_winner_and_its_model(recorded, models):
    tuning = comparisons.compare(models, NAMES).tuning
    assert (tuning.one, tuning.other, tuning.value) == ("best", "cnn2", pytest.approx(0.05))


def test_what_tuning_gained_on_validation_is_that_of_the_recorded_scores(recorded, models):
    assert comparisons.compare(models, NAMES).tuning_on_validation == pytest.approx(0.05)


def test_a_winner_with_other_params_is_another_model(recorded, models):
    assert not comparisons.compare(models, NAMES).own_block_won


def test_a_winner_with_the_models_own_params_is_that_model(recorded, models, tuned):
    winner.write(tuned | {"block": models["cnn2"].model_dump()})
    assert comparisons.compare(models, NAMES).own_block_won


EXCLUDING = {
    "above zero": (0.01, 0.03, True),
    "below zero": (-0.03, -0.01, True),
    "around zero": (-0.01, 0.03, False),
    "from zero": (0.0, 0.03, False),
}


@pytest.mark.parametrize(("low", "high", "excludes"), EXCLUDING.values(), ids=EXCLUDING)
def test_an_interval_excludes_zero_if_zero_lies_outside(low, high, excludes):
    assert Difference("one", "other", (low + high) / 2, low, high).excludes_zero == excludes


def test_scores_of_different_test_splits_are_not_compared(recorded, models):
    images = scored(LABELS[::-1], probabilities_of("cnn2")[::-1])
    image_scores.write("cnn2", images, NAMES)
    with pytest.raises(UserError, match=r"images/cnn2\.csv and .*images/resnet50\.csv: are scores of different test"):
        comparisons.compare(models, NAMES)


def test_a_tuned_model_that_params_lack_is_named(recorded, models):
    with pytest.raises(UserError, match=r"^metrics/tune\.json: cnn2 is no model of params\.yaml"):
        comparisons.compare({"resnet50": models["resnet50"]}, NAMES)


FILES = ["tune.json", "validation/best.json", "validation/cnn2.json", "test/best.json", "images/resnet50.csv"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(recorded, models, name):
    (recorded / "metrics" / name).unlink()
    with pytest.raises(UserError, match=f"^metrics/{name}: is missing"):
        comparisons.compare(models, NAMES)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(recorded, models, name):
    (recorded / "metrics" / name).write_bytes(b"{")
    with pytest.raises(UserError, match=f"^metrics/{name}: "):
        comparisons.compare(models, NAMES)


def test_scores_of_a_class_are_scikit_learns():
    labels, probabilities = unequal(100, CLASSES)
    rows = comparisons.class_scores(ranked(labels, probabilities), NAMES)
    expected = precision_recall_fscore_support(labels, probabilities.argmax(axis=1))
    found = [(row.precision, row.recall, row.f1, row.images) for row in rows[:-1]]
    np.testing.assert_allclose(found, np.transpose(expected))


def test_averages_over_classes_stand_last():
    labels, probabilities = unequal(100, CLASSES)
    *classes, average = comparisons.class_scores(ranked(labels, probabilities), NAMES)
    assert average.name == "macro avg"
    for score in ("roc_auc", "precision", "recall", "f1"):
        expected = np.mean([getattr(row, score) for row in classes])
        assert getattr(average, score) == pytest.approx(expected)


def test_a_class_that_is_never_predicted_has_a_precision_of_0():
    labels = np.arange(6) % 3
    probabilities = np.tile([0.5, 0.3, 0.2], (6, 1))
    assert comparisons.class_scores(ranked(labels, probabilities), NAMES)[1].precision == 0.0


CURVES = {
    "equal classes": sample(5, 150, CLASSES),
    "unequal classes": unequal(200, CLASSES),
    "negatives by the hundred": sample(6, 150, CLASSES),  # whose rates are those at which the curve is written
}


@pytest.mark.parametrize("data", CURVES.values(), ids=CURVES)
def test_the_roc_curve_is_the_mean_of_scikit_learns_over_the_classes(data):
    labels, probabilities = data[0], normalised(data[1])
    expected = []
    for label in range(CLASSES):
        fpr, tpr, _ = roc_curve(labels == label, probabilities[:, label], drop_intermediate=False)
        expected.append([tpr[fpr <= rate + 1e-9].max() for rate in comparisons.RATES])
    rates, found = np.transpose(comparisons.roc_curve(ranked(labels, probabilities)))
    np.testing.assert_array_equal(rates, comparisons.RATES)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-12)


def test_a_perfect_model_has_a_curve_at_the_top():
    labels = np.arange(6) % 3
    assert {tpr for _, tpr in comparisons.roc_curve(ranked(labels, np.eye(3)[labels]))} == {1.0}


def test_the_curve_does_not_depend_on_the_order_of_the_images():
    labels, probabilities = CURVES["unequal classes"]
    images = ranked(labels, probabilities)
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = replace(images, images=scored(labels[order], probabilities[order]))
    assert comparisons.roc_curve(shuffled) == comparisons.roc_curve(images)
