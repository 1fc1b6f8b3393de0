"""The record of a model on the test split: its repeats and its classes."""

import numpy as np
import pytest
from samples import sample, unequal
from sklearn.metrics import roc_auc_score

from study.evaluation.final_scores import class_areas, final_scores
from study.scoring.probabilities import normalised

NAMES = ["a", "b", "c"]
DATA = {"equal classes": sample(0, 150, 3), "unequal classes": unequal(100, 3), "ties": sample(1, 150, 3, levels=2)}


@pytest.mark.parametrize(("labels", "probabilities"), DATA.values(), ids=DATA)
def test_the_area_of_a_class_is_scikit_learns(labels, probabilities):
    expected = [roc_auc_score(labels == label, normalised(probabilities)[:, label]) for label in range(3)]
    found = [row["roc_auc"] for row in class_areas(labels, probabilities, NAMES)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_class_that_is_told_apart_from_all_others_has_an_interval():
    labels = np.arange(30) % 3
    rows = class_areas(labels, np.eye(3)[labels], NAMES)
    assert [(row["roc_auc"], row["high"]) for row in rows] == [(1.0, 1.0)] * 3
    assert all(0.5 < row["low"] < 1 for row in rows)


def test_with_few_images_in_one_class_no_class_has_an_interval():
    labels = np.repeat([0, 1, 2], [10, 10, 4])
    assert [list(row) for row in class_areas(labels, np.eye(3)[labels], NAMES)] == [["class", "roc_auc"]] * 3


def test_the_areas_of_the_classes_are_those_of_the_model_that_is_kept():
    labels, first = DATA["equal classes"]
    record = final_scores(labels, [first, sample(5, 150, 3)[1]], [1, 2], NAMES)
    assert record["class_roc_auc"] == class_areas(labels, first, NAMES)
    assert np.mean([row["roc_auc"] for row in record["class_roc_auc"]]) == pytest.approx(record["roc_auc"], abs=2e-6)
