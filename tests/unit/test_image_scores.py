"""What is kept of each test image holds all that comparisons need: areas, their variance, and predictions."""

from dataclasses import fields, replace

import numpy as np
import pytest
from samples import pictures, sample, varied
from sklearn.metrics import log_loss, roc_auc_score

from study.base import files
from study.base.runtime import UserError
from study.evaluation import image_scores
from study.evaluation.image_scores import ImageScores
from study.report import run
from study.scoring.probabilities import normalised

CLASSES = 4
NAMES = ["a", "b", "c", "d"]
DATA = varied(CLASSES)
each_data = pytest.mark.parametrize("data", DATA.values(), ids=DATA)


def scored(labels: np.ndarray, probabilities: np.ndarray) -> ImageScores:
    return image_scores.image_scores(pictures(len(labels)), labels, [probabilities])


def areas(images: ImageScores) -> list[float]:
    """ROC-AUC of each class."""
    labels = images.labels
    return [1 - images.false_positive_rate[labels == label].mean(dtype=np.float64) for label in range(CLASSES)]


@each_data
def test_false_positive_rates_give_the_roc_auc_of_each_class(data):
    labels, probabilities = data
    normal = normalised(probabilities)
    expected = [roc_auc_score(labels == label, normal[:, label]) for label in range(CLASSES)]
    np.testing.assert_allclose(areas(scored(*data)), expected, atol=1e-7)


@each_data
def test_the_class_means_of_the_shortfall_sum_to_twice_what_the_macro_roc_auc_lacks(data):
    """Once as positives and once as negatives."""
    images = scored(*data)
    means = [images.shortfall[images.labels == label].mean(dtype=np.float64) for label in range(CLASSES)]
    assert sum(means) == pytest.approx(2 * (1 - np.mean(areas(images))), abs=1e-6)


def test_an_image_that_ties_with_one_of_four_others_loses_half_a_place():
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.5, 0.5], [0.7, 0.3], [0.1, 0.9]])
    rates = scored(np.array([0, 1, 1, 1, 1]), probabilities).false_positive_rate
    assert rates[0] == pytest.approx((1 + 0.5) / 4)


@each_data
def test_losses_of_images_give_the_log_loss(data):
    labels, probabilities = data
    assert scored(*data).log_loss.mean(dtype=np.float64) == pytest.approx(log_loss(labels, probabilities), abs=1e-6)


def test_scores_are_read_as_they_were_written_but_for_rounding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = replace(scored(*DATA["unequal classes"]), class_names=tuple(NAMES))
    image_scores.write("cnn2", written, NAMES)
    read = run.working_folder().images("cnn2", NAMES)
    for field in fields(ImageScores):
        one, other = getattr(read, field.name), getattr(written, field.name)
        if field.name in image_scores.NUMBERS:
            np.testing.assert_allclose(one, other, rtol=1e-5, err_msg=field.name)
        else:
            np.testing.assert_array_equal(one, other, strict=True, err_msg=field.name)


def test_the_classes_have_their_numbers_by_which_plots_order_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_scores.write("cnn2", scored(*DATA["unequal classes"]), NAMES)
    header, *rows = files.read_csv(image_scores.path("cnn2"))
    for name in ("actual", "predicted"):
        of_name, of_number = header.index(name), header.index(f"{name}_label")
        assert all(NAMES[int(row[of_number])] == row[of_name] for row in rows)


def test_a_row_of_ten_thousand_images_takes_less_than_100_bytes(tmp_path, monkeypatch):
    """So that git can track what a real test split needs."""
    monkeypatch.chdir(tmp_path)
    image_scores.write("cnn2", scored(*sample(2, 10_000, CLASSES)), NAMES)
    assert (tmp_path / image_scores.path("cnn2")).stat().st_size < 1_000_000


NAMED = replace(scored(*DATA["equal classes"]), class_names=("a", "b", "c", "d"))
SPLITS = {
    "other images": ({"image": np.full(len(NAMED.image), "0" * 8)}, "images"),
    "another order": ({"image": NAMED.image[::-1]}, "order"),
    "other names": ({"class_names": ("a", "b", "c", "e")}, "names"),
    "other labels": ({"labels": NAMED.labels[::-1]}, "labels"),
    "another model": ({"predicted": NAMED.predicted[::-1]}, None),
}


@pytest.mark.parametrize(("changes", "difference"), SPLITS.values(), ids=SPLITS)
def test_what_tells_two_splits_apart_has_a_name(changes, difference):
    assert replace(NAMED, **changes).split_difference(NAMED) == difference


UNFIT = {
    "another class": ("a,", "e,", "holds no scores of two or more images of each of 4"),
    "no number": ("0.5", "half", "holds no scores of two or more images of each of 4"),
    "no finite number": (",0.5", ",nan", "holds no scores of two or more images of each of 4"),
    "another header": ("log_loss", "loss", "lacks log_loss"),
    "a class without an image": (",d,", ",a,", "holds no scores of two or more images of each of 4"),
}


@pytest.mark.parametrize(("before", "after", "message"), UNFIT.values(), ids=UNFIT)
def test_scores_that_do_not_fit_are_refused(tmp_path, monkeypatch, before, after, message):
    monkeypatch.chdir(tmp_path)
    image_scores.write("cnn2", scored(*DATA["equal classes"]), NAMES)
    path = tmp_path / image_scores.path("cnn2")
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match=rf"^metrics/images/cnn2\.csv: {message}"):
        run.working_folder().images("cnn2", NAMES)
