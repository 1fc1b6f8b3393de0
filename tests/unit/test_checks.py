"""Each check of the report finds what it is for, and nothing else."""

import numpy as np
import pytest
from samples import epoch, pictures, ranked, record, repeated, validation, without_intervals

from study.evaluation.image_scores import image_scores
from study.params.schema import Range
from study.report import checks
from study.report.checks import Case
from study.report.comparisons import Comparison, Ranked

OPEN = Range(low=0.001, high=0.1, log=True)
DROPOUT = Range(low=0.0, high=0.5, log=False)
EDGES = {
    "in the middle of a range": ("learning_rate", 0.01, OPEN, False),
    "near the low end of a range": ("learning_rate", 0.00101, OPEN, True),
    "near the high end of a range": ("learning_rate", 0.09, OPEN, True),
    "near the low end by its own scale alone": ("learning_rate", 0.004, Range(low=0.001, high=0.1, log=False), True),
    "no dropout, which cannot be less": ("dropout", 0.0, DROPOUT, False),
    "the most dropout, which could be more": ("dropout", 0.5, DROPOUT, True),
    "the largest whole number": ("epochs", 20, Range(low=5, high=20, log=False), True),
    "one epoch, which cannot be less": ("epochs", 1, Range(low=1, high=20, log=False), False),
    "the smallest of a list": ("learning_rate", 0.001, [0.01, 0.001, 0.1], True),
    "within a list": ("learning_rate", 0.01, [0.01, 0.001, 0.1], False),
    "a list of one, which was not searched": ("epochs", 14, [14], False),
    "a list of words": ("optimizer", "adam", ["adam", "sgd"], False),
    "a list of true and false": ("mirror_average", True, [True, False], False),
}


@pytest.mark.parametrize(("key", "value", "values", "found"), EDGES.values(), ids=EDGES)
def test_a_best_value_at_the_edge_of_the_space_is_found_if_the_space_could_be_wider(
    key, value, values, found, tuned, params
):
    cases = checks.at_the_edge(tuned | {"values": {key: value}}, {key: values})
    assert [case.subject for case in cases] == ([key] if found else [])


def test_a_value_at_the_edge_is_shown_with_its_space(tuned, params):
    cases = checks.at_the_edge(tuned | {"values": {"dropout": 0.5}}, {"dropout": DROPOUT})
    assert cases == [Case("dropout", "0.5 in 0 to 0.5")]


def learned(*history: dict) -> Ranked:
    rows = [row | {"epoch": number} for number, row in enumerate(history, 1)]
    return ranked("cnn2", 0.9, validation=validation(0.9, rows))


OVER_FITTING = {
    "training is far ahead, and validation loss rises": ([(0.5, 0.5, 1.0), (0.9, 0.7, 1.2)], True),
    "training is far ahead, but validation loss falls": ([(0.5, 0.5, 1.0), (0.9, 0.7, 0.9)], False),
    "validation loss rises, but training is not far ahead": ([(0.5, 0.5, 1.0), (0.75, 0.7, 1.2)], False),
    "training is behind": ([(0.5, 0.5, 1.0), (0.6, 0.7, 1.2)], False),
}


@pytest.mark.parametrize(("epochs", "found"), OVER_FITTING.values(), ids=OVER_FITTING)
def test_over_fitting_is_a_gap_of_accuracy_with_a_rising_validation_loss(epochs, found):
    history = [epoch(accuracy=train, val_accuracy=val, val_loss=loss) for train, val, loss in epochs]
    assert bool(checks.over_fitting([learned(*history)])) == found


UNDER_FITTING = {
    "both losses still fall": ([(1.5, 1.6), (1.2, 1.4), (1.0, 1.2)], True),
    "training loss hardly falls": ([(1.5, 1.6), (1.2, 1.4), (1.19, 1.3)], False),
    "validation loss rises again": ([(1.5, 1.6), (1.2, 1.4), (1.0, 1.5)], False),
    "one epoch": ([(1.5, 1.6)], True),
    "two epochs, the second of which is worse": ([(1.5, 1.6), (1.4, 1.7)], False),
}


@pytest.mark.parametrize(("losses", "found"), UNDER_FITTING.values(), ids=UNDER_FITTING)
def test_under_fitting_is_a_last_epoch_that_still_gained(losses, found):
    history = [epoch(loss=loss, val_loss=val_loss) for loss, val_loss in losses]
    assert bool(checks.under_fitting([learned(*history)])) == found


GUESSES = {
    "an interval above a half, a low log loss": ({}, False),
    "an interval with a half": ({"roc_auc_low": 0.49}, True),
    "a log loss above that of a guess": ({"log_loss": 1.2}, True),
}


@pytest.mark.parametrize(("change", "found"), GUESSES.values(), ids=GUESSES)
def test_a_model_like_a_constant_guess_is_found_by_either_score(change, found):
    model = ranked("cnn2", 0.9, test=record(0.9, **change))
    assert bool(checks.no_better_than_a_guess([model], classes=3)) == found


@pytest.mark.parametrize(("area", "found"), [(0.51, False), (0.5, True)])
def test_without_an_interval_the_area_itself_is_held_against_a_guess(area, found):
    assert bool(checks.no_better_than_a_guess([without_intervals(ranked("cnn2", area))], classes=3)) == found


COUNTS = {
    "ten of each": ({"a": 10, "b": 10}, []),
    "nine of one": ({"a": 10, "b": 9}, [Case("train", "9 images of b, 10 of a")]),
    "five times as many": ({"a": 50, "b": 10}, []),
    "more than five times as many": ({"a": 51, "b": 10}, [Case("train", "10 images of b, 51 of a")]),
}


@pytest.mark.parametrize(("counts", "cases"), COUNTS.values(), ids=COUNTS)
def test_few_or_unbalanced_images_are_found_by_the_counts_of_a_split(counts, cases):
    eda = {"train": {"label_counts": counts}, "test": {"label_counts": {"a": 100, "b": 100}}}
    assert checks.few_or_unbalanced(eda) == cases


def test_a_model_that_was_trained_once_is_found():
    models = [ranked("cnn2", 0.9), ranked("cnn3", 0.9, test=repeated(0.9, 0.9, 0.001))]
    assert checks.trained_once(models) == [Case("cnn2", "1 run")]


def test_runs_that_collapsed_are_listed_with_their_seeds():
    test = repeated(0.9, 0.8, 0.001)
    for repeat, area in zip(test["repeats"], (0.9, 0.9, 0.6), strict=True):
        repeat["roc_auc"] = area
    models = [ranked("cnn2", 0.9, test=test, collapsed=1), ranked("cnn3", 0.9)]
    assert checks.collapsed(models) == [Case("cnn2", "1 of 3 runs: seed 42 0.9000, seed 1 0.9000, seed 2 0.6000")]


def sure(accuracy: float, confidence: float) -> Ranked:
    """A model that is as sure of each of three hundred images."""
    labels = np.arange(300) % 3
    right = np.random.default_rng(0).permutation(300) < accuracy * 300
    predicted = np.where(right, labels, (labels + 1) % 3)
    probabilities = np.full((300, 3), (1 - confidence) / 2)
    probabilities[np.arange(300), predicted] = confidence
    return ranked("cnn2", 0.9, images=image_scores(pictures(300), labels, [probabilities]))


@pytest.mark.parametrize(
    ("accuracy", "found"), [(0.7, False), (0.5, True), (0.9, True)], ids=["as sure", "too sure", "less"]
)
def test_confidence_that_does_not_match_accuracy_is_found(accuracy, found):
    assert bool(checks.miscalibrated([sure(accuracy, confidence=0.7)])) == found


def test_checks_are_numbered_in_order_and_see_every_model(tuned, params):
    comparison = Comparison([ranked("best", 0.9), ranked("cnn2", 0.8)], [], tuned)
    counts = {"label_counts": dict.fromkeys("abc", 20)}
    eda = {"classes": ["a", "b", "c"], "train": counts, "test": counts}
    cases = checks.checks(comparison, eda, {"dropout": DROPOUT})
    assert list(cases) == [f"C{number}" for number in range(1, 9)]
    assert [case.subject for case in cases["C6"]] == ["best", "cnn2"]
