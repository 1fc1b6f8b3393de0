"""Templates turn records into Markdown."""

from dataclasses import replace

import jinja2
import numpy as np
import pytest
from samples import pictures, record, validation

from study.review import words
from study.review.comparisons import ClassScores, Comparison, Difference, Ranked, class_scores
from study.scoring.image_scores import image_scores

EDA = {
    "classes": ["a", "b"],
    "train": {"images_shape": [40, 8, 8, 3]},
    "test": {"images_shape": [12, 8, 8, 3]},
    "exact_duplicates": [{"fault": "repeated in train", "images": 3}, {"fault": "repeated in test", "images": 0}],
}
TRIALS = [["model", "trial", "dropout"], ["cnn2", "0", "0.1"], ["cnn2", "1", ""]]
CLEAR, UNCLEAR = (0.02, 0.08), (-0.01, 0.11)


def ranked(name: str, area: float) -> Ranked:
    labels = np.array([0, 1])
    return Ranked(name, record(area), validation(area + 0.01), image_scores(pictures(2), labels, [np.eye(2)[labels]]))


@pytest.fixture
def comparison(tuned) -> Comparison:
    return Comparison(
        ranking=[ranked("best", 0.9), ranked("cnn2", 0.85), ranked("resnet50", 0.8)],
        from_first=[Difference("best", "cnn2", 0.05, *CLEAR), Difference("best", "resnet50", 0.1, *UNCLEAR)],
        tuned=tuned,
        tuning=Difference("best", "cnn2", 0.05, *CLEAR),
        tuning_on_validation=0.02,
        own_block_won=False,
    )


def report(comparison: Comparison) -> str:
    return words.render("report", comparison=comparison, trials=TRIALS, eda=EDA)


def test_the_ranking_has_a_row_per_model(comparison):
    assert words.render("ranking", comparison=comparison).splitlines()[2:] == [
        "| 1 | best (cnn2, tuned) | 0.9000 | 0.8500 – 0.9500 | 0.5000 | 1.0000 | 0.9100 |",
        "| 2 | cnn2 | 0.8500 | 0.8000 – 0.9000 | 0.5000 | 1.0000 | 0.8600 |",
        "| 3 | resnet50 | 0.8000 | 0.7500 – 0.8500 | 0.5000 | 1.0000 | 0.8100 |",
    ]


def test_the_classification_has_a_row_per_class():
    rows = [ClassScores("cat", 0.91234, 0.5, 0.25, 0.3333, 100), ClassScores("macro avg", 0.9, 0.5, 0.5, 0.5, 200)]
    assert words.render("classification", name="cnn2", classes=rows).splitlines() == [
        "# cnn2: test scores by class",
        "",
        "| class | ROC-AUC | precision | recall | F1 | images |",
        "|---|---|---|---|---|---|",
        "| cat | 0.9123 | 0.500 | 0.250 | 0.333 | 100 |",
        "| macro avg | 0.9000 | 0.500 | 0.500 | 0.500 | 200 |",
    ]


@pytest.mark.parametrize("name", ["accuracy", "macro avg", "$_$", "a & <b>", "{{ name }}"])
def test_a_class_may_have_any_printable_name(name):
    """Also names that scikit-learn's report, HTML or the templates know."""
    labels = np.arange(6, dtype=np.uint8) % 3
    model = Ranked("model", record(0.9), validation(0.9), image_scores(pictures(6), labels, [np.eye(3)[labels]]))
    text = words.render("classification", name="model", classes=class_scores(model, [name, "other", "third"]))
    assert f"| {name} | 1.0000 | 1.000 | 1.000 | 1.000 | 2 |" in text


def test_the_report_names_the_first_model_with_its_interval(comparison):
    assert "- First on the test split: **best**, ROC-AUC 0.9000 [0.8500, 0.9500].\n" in report(comparison)


DIFFERENCES = {
    "an interval without zero": (CLEAR, "- best over cnn2: +0.0500 [+0.0200, +0.0800], a difference."),
    "an interval around zero": (
        UNCLEAR,
        "- best over cnn2: +0.0500 [-0.0100, +0.1100], within noise: this test split cannot tell the two apart.",
    ),
}


@pytest.mark.parametrize(("interval", "line"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_report_claims_a_difference_only_where_its_interval_excludes_zero(comparison, interval, line):
    changed = replace(comparison, from_first=[Difference("best", "cnn2", 0.05, *interval)])
    assert f"{line}\n" in report(changed)


GAINS = {"an interval without zero": (CLEAR, "a difference"), "an interval around zero": (UNCLEAR, "within noise")}


@pytest.mark.parametrize(("interval", "judgement"), GAINS.values(), ids=GAINS)
def test_the_report_says_what_tuning_changed(comparison, interval, judgement):
    tuning = Difference("best", "cnn2", 0.05, *interval)
    low, high = interval
    line = (
        f"- Tuning changed cnn2 by +0.0500 [{low:+.4f}, {high:+.4f}] on test ({judgement}) and by +0.0200 on validation"
    )
    assert line in report(replace(comparison, tuning=tuning))


def test_the_report_says_that_tuning_gained_nothing_where_the_models_own_block_won(comparison):
    text = report(replace(comparison, own_block_won=True))
    assert "- Tuning gained nothing: no trial beat cnn2's own block on validation.\n" in text


def test_the_report_does_not_compare_a_model_with_itself(comparison):
    text = report(replace(comparison, own_block_won=True))
    assert "- best and cnn2 are one model: its own block won the search.\n" in text
    assert "best over cnn2" not in text


def test_the_report_says_which_trial_won_with_which_values(comparison, tuned):
    changed = replace(
        comparison, tuned=tuned | {"values": {"learning_rate": 0.00123456, "epochs": 16, "pooling": "max"}}
    )
    text = report(changed)
    assert "Trial 3 of cnn2 won:\nlearning_rate 0.001235, epochs 16, pooling max.\n" in text


def test_the_report_has_a_row_per_trial(comparison):
    table = "| model | trial | dropout |\n|---|---|---|\n| cnn2 | 0 | 0.1 |\n| cnn2 | 1 |  |\n"
    assert f"\n\n{table}\n" in report(comparison)


def test_the_report_has_the_table_of_the_ranking(comparison):
    assert words.render("ranking", comparison=comparison) in report(comparison)


def test_the_report_counts_images_and_duplicates(comparison):
    text = report(comparison)
    assert "40 training and 12 test images in 2 classes." in text
    assert "- repeated in train: 3\n- repeated in test: 0\n" in text


def test_a_record_that_a_template_lacks_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        words.render("ranking")
