"""Models are ranked and compared by what stages recorded of them."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import bootstrap, pictures, record, repeated, sample, unequal, validation
from samples import ranked as perfect
from sklearn.metrics import precision_recall_fscore_support, roc_curve

from study.base import files
from study.base.runtime import UserError
from study.evaluation import image_scores
from study.evaluation.final_scores import class_areas
from study.evaluation.image_scores import ImageScores
from study.report import comparisons, differences
from study.report.comparisons import Ranked
from study.report.differences import Pair
from study.scoring.probabilities import normalised
from study.search.outcome import winner

CLASSES = 3
NAMES = ["a", "b", "c"]
SMALLEST = 0.002
TEST_ROC_AUC = {"cnn2": 0.80, "resnet50": 0.90, "best": 0.85, "control": 0.82}
LABELS, PROBABILITIES = sample(0, 150, CLASSES)


def probabilities_of(model: str) -> np.ndarray:
    """Probabilities that lean the more to the labels the better the model."""
    return normalised(PROBABILITIES ** TEST_ROC_AUC[model] + np.eye(CLASSES)[LABELS] * (TEST_ROC_AUC[model] - 0.7))


def ranked(labels: np.ndarray, probabilities: np.ndarray) -> Ranked:
    """A model with these predictions; its recorded macro scores are not theirs."""
    test = record(0.8, class_roc_auc=class_areas(labels, probabilities, NAMES))
    return perfect("model", 0.8, test=test, images=scored(labels, probabilities))


def scored(labels: np.ndarray, probabilities: np.ndarray) -> ImageScores:
    return image_scores.image_scores(pictures(len(labels)), labels, [probabilities])


@pytest.fixture
def models(params) -> dict:
    return {name: params.models[name] for name in ("cnn2", "resnet50")}


@pytest.fixture
def recorded(tmp_path, monkeypatch, tuned) -> Path:
    """The working folder, with the metrics of two models and of the tuned cnn2."""
    monkeypatch.chdir(tmp_path)
    files.write_json(winner.FILE, tuned)
    for name in TEST_ROC_AUC:
        files.write_json(
            f"metrics/validation/{name}.json",
            validation(0.87 if name == "best" else 0.84 if name == "control" else 0.82),
        )
    for name, area in TEST_ROC_AUC.items():
        files.write_json(f"metrics/test/{name}.json", record(area))
        image_scores.write(name, scored(LABELS, probabilities_of(name)), NAMES)
    return tmp_path


def test_models_are_ranked_by_the_mean_test_roc_auc_of_their_runs(recorded, models):
    ranking = comparisons.compare(models, NAMES, SMALLEST).ranking
    assert [model.name for model in ranking] == ["resnet50", "best", "control", "cnn2"]


def test_a_ranked_model_has_its_recorded_scores(recorded, models):
    best = comparisons.compare(models, NAMES, SMALLEST).ranking[1]
    assert (best.test, best.validation) == (record(0.85), validation(0.87))


def test_every_model_is_compared_with_all_below_it(recorded, models):
    pairs = comparisons.compare(models, NAMES, SMALLEST).pairs
    expected = list(itertools.combinations(["resnet50", "best", "control", "cnn2"], 2))
    assert [pair.names for pair in pairs] == expected


def pair(models: dict, one: str, other: str) -> Pair:
    return comparisons.compare(models, NAMES, SMALLEST).pair(one, other)


def test_the_difference_of_two_models_is_that_of_their_recorded_scores(recorded, models):
    assert pair(models, "resnet50", "cnn2").shipped.value == pytest.approx(0.10)


def test_the_interval_of_a_difference_is_as_wide_as_that_of_the_paired_bootstrap(recorded, models):
    difference = pair(models, "resnet50", "cnn2").shipped
    one, other = (bootstrap(LABELS, probabilities_of(name), 2000) for name in ("resnet50", "cnn2"))
    width = 2 * 1.96 * (one - other).std()
    assert difference.high - difference.low == pytest.approx(width, rel=0.15)


@pytest.fixture
def repeats(recorded) -> None:
    """cnn2 and best were trained three times: the mean of cnn2 is 0.83, which is above control's."""
    files.write_json("metrics/test/cnn2.json", repeated(0.80, 0.83, sd=0.001))
    files.write_json("metrics/test/best.json", repeated(0.85, 0.85, sd=0.001))


def test_the_mean_counts_for_the_ranking(repeats, models):
    ranking = comparisons.compare(models, NAMES, SMALLEST).ranking
    assert [model.name for model in ranking] == ["resnet50", "best", "cnn2", "control"]


def test_the_difference_of_models_trained_again_is_that_of_their_means(repeats, models):
    assert pair(models, "best", "cnn2").retrained.value == pytest.approx(0.02)


def test_the_difference_of_models_trained_again_counts_the_seeds(repeats, models):
    found = pair(models, "best", "cnn2")
    files.write_json("metrics/test/cnn2.json", repeated(0.80, 0.83, sd=0.1))
    noisier = pair(models, "best", "cnn2")
    assert noisier.shipped == found.shipped
    assert noisier.retrained.high - noisier.retrained.low > 2 * (found.retrained.high - found.retrained.low)


def test_a_verdict_on_a_model_that_was_trained_once_is_unknown(repeats, models):
    pairs = comparisons.compare(models, NAMES, SMALLEST).pairs
    assert {pair.names for pair in pairs if pair.verdict != "unknown"} == {("best", "cnn2")}


def test_the_comparisons_of_what_tuning_changed_are_corrected_for_themselves(repeats, models):
    files.write_json("metrics/test/resnet50.json", repeated(0.90, 0.90, sd=0.001))
    comparison = comparisons.compare(models, NAMES, SMALLEST)
    tuned = [model for model in comparison.ranking if model.name != "resnet50"]
    planned = differences.pairs(list(itertools.combinations(tuned, 2)), SMALLEST, comparison.ranking)
    assert [pair.retrained for pair in planned] == [comparison.pair(*pair.names).retrained for pair in planned]


GAINS = {("best", "control"): 0.03, ("control", "cnn2"): 0.02, ("best", "cnn2"): 0.05}


@pytest.mark.parametrize(("names", "gain"), GAINS.items(), ids=map("-".join, GAINS))
def test_what_the_search_and_its_epochs_gained_are_differences_of_their_own(recorded, models, names, gain):
    assert pair(models, *names).shipped.value == pytest.approx(gain)
    assert pair(models, *names[::-1]).shipped.value == pytest.approx(-gain)


def test_the_interval_of_a_mean_counts_the_seeds(repeats, models):
    ranking = {model.name: model for model in comparisons.compare(models, NAMES, SMALLEST).ranking}
    low, high = ranking["cnn2"].interval
    files.write_json("metrics/test/cnn2.json", repeated(0.80, 0.83, sd=0.1))
    ranking = {model.name: model for model in comparisons.compare(models, NAMES, SMALLEST).ranking}
    wider = ranking["cnn2"].interval
    assert wider[0] < low < 0.83 < high < wider[1]


def test_the_interval_of_a_model_that_was_trained_once_is_the_recorded_one(recorded, models):
    for model in comparisons.compare(models, NAMES, SMALLEST).ranking:
        assert model.interval == (model.test["roc_auc_low"], model.test["roc_auc_high"])


SEARCH, EPOCHS, BOTH = GAINS
ONE_MODEL = {
    "the search kept the block, for more epochs": ({"epochs": 14}, 14, {SEARCH}),
    "the winner has other params, for no more epochs": ({"dropout": 0.3}, 0, {EPOCHS}),
    "the search kept the block and its epochs": ({}, 0, {SEARCH, EPOCHS, BOTH}),
    "the winner has other params and more epochs": ({"dropout": 0.3, "epochs": 14}, 14, set()),
}


@pytest.mark.parametrize(("values", "epochs", "none"), ONE_MODEL.values(), ids=ONE_MODEL)
def test_blocks_of_one_training_are_no_pair_however_often_they_are_trained(
    recorded, models, tuned, values, epochs, none
):
    """No `epochs`: as many as the model's own block has."""
    own = models["cnn2"].model_dump() | {"repeats": 1}
    control = own | {"epochs": epochs or own["epochs"]}
    files.write_json(winner.FILE, tuned | {"block": own | values, "control": control})
    assert (models["cnn2"].repeats, models["cnn2"].epochs < 14) == (3, True)
    comparison = comparisons.compare(models, NAMES, SMALLEST)
    assert {names for names in GAINS if comparison.pair(*names) is None} == none
    assert len(comparison.pairs) == 6 - len(none)


def test_classes_other_than_those_of_the_data_are_refused(recorded, models):
    with pytest.raises(UserError, match=r"^metrics/test/cnn2\.json: has other classes than metrics/eda\.json"):
        comparisons.compare(models, ["a", "c", "b"], SMALLEST)


def test_scores_of_different_test_splits_are_not_compared(recorded, models):
    images = scored(LABELS[::-1], probabilities_of("cnn2")[::-1])
    image_scores.write("cnn2", images, NAMES)
    with pytest.raises(UserError, match=r"images/resnet50\.csv and .*images/cnn2\.csv: are scores of different test"):
        comparisons.compare(models, NAMES, SMALLEST)


def test_a_tuned_model_that_params_lack_is_named(recorded, models):
    with pytest.raises(UserError, match=r"^metrics/tune\.json: cnn2 is no model of params\.yaml"):
        comparisons.compare({"resnet50": models["resnet50"]}, NAMES, SMALLEST)


FILES = ["tune.json", "validation/cnn2.json", "test/control.json", "images/resnet50.csv"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(recorded, models, name):
    (recorded / "metrics" / name).unlink()
    with pytest.raises(UserError, match=f"^metrics/{name}: is missing"):
        comparisons.compare(models, NAMES, SMALLEST)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(recorded, models, name):
    (recorded / "metrics" / name).write_bytes(b"{")
    with pytest.raises(UserError, match=f"^metrics/{name}: "):
        comparisons.compare(models, NAMES, SMALLEST)


def test_scores_of_a_class_are_scikit_learns():
    labels, probabilities = unequal(100, CLASSES)
    rows = comparisons.class_scores(ranked(labels, probabilities), NAMES)
    expected = precision_recall_fscore_support(labels, probabilities.argmax(axis=1))
    found = [[row[key] for key in ("precision", "recall", "f1-score", "support")] for row in rows[:-1]]
    np.testing.assert_allclose(found, np.transpose(expected))


def test_the_area_of_a_class_has_the_recorded_interval():
    labels, probabilities = unequal(100, CLASSES)
    model = ranked(labels, probabilities)
    found = [
        {key: row[key] for key in ("class", "roc_auc", "low", "high")} for row in comparisons.class_scores(model, NAMES)
    ]
    assert found[:-1] == model.test["class_roc_auc"]
    assert found[-1] == {"class": "macro avg", "roc_auc": 0.8, "low": 0.75, "high": 0.85}


def test_the_confusion_counts_images_by_actual_and_predicted_class():
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    probabilities = np.eye(CLASSES)[[0, 0, 2, 1, 0, 2, 2]] + 0.01
    assert comparisons.confusion(ranked(labels, probabilities), CLASSES) == [[2, 0, 1], [1, 1, 0], [0, 0, 2]]


def test_the_most_confident_mistakes_stand_first():
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.array(
        [[0.1, 0.9, 0.0], [0.9, 0.1, 0.0], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0], [0.68, 0.3, 0.02], [0.0, 0.0, 1.0]]
    )
    model = ranked(labels, probabilities)
    found = comparisons.mistakes(model, NAMES, 2)
    assert [(mistake.number, mistake.actual, mistake.predicted) for mistake in found] == [(0, "a", "b"), (4, "c", "a")]
    assert [mistake.image for mistake in found] == model.images.image[[0, 4]].tolist()
    np.testing.assert_allclose([mistake.confidence for mistake in found], [0.9, 0.68])
    np.testing.assert_allclose([mistake.probability for mistake in found], [0.1, 0.02])


def test_averages_over_classes_stand_last():
    labels, probabilities = unequal(100, CLASSES)
    *classes, average = comparisons.class_scores(ranked(labels, probabilities), NAMES)
    assert average["class"] == "macro avg"
    for score in ("precision", "recall", "f1-score"):
        expected = np.mean([row[score] for row in classes])
        assert average[score] == pytest.approx(expected)


def test_a_class_that_is_never_predicted_has_a_precision_of_0():
    labels = np.arange(6) % 3
    probabilities = np.tile([0.5, 0.3, 0.2], (6, 1))
    assert comparisons.class_scores(ranked(labels, probabilities), NAMES)[1]["precision"] == 0.0


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


def test_accuracy_and_log_loss_have_intervals_around_what_the_images_show(recorded, models):
    for model in comparisons.compare(models, NAMES, SMALLEST).ranking:
        for interval, value in (
            (model.accuracy_interval, model.images.hits.mean()),
            (model.log_loss_interval, model.images.log_loss.mean()),
        ):
            assert interval[0] < value < interval[1]
