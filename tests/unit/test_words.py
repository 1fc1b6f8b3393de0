"""Templates turn records into Markdown."""

import re
from dataclasses import replace

import jinja2
import pytest
from samples import finalist, ranked, record

from study.evaluation.seeds import Noise
from study.report import pages, words
from study.report.comparisons import Comparison, Mistake, Ranked
from study.report.differences import Answer, Pair
from study.report.seed_noise import Training

COUNTS = {"a": 12, "b": 14, "c": 14}
EDA = {
    "classes": ["a", "b", "c"],
    "train": {"images_shape": [40, 8, 8, 3], "label_counts": COUNTS},
    "test": {"images_shape": [12, 8, 8, 3], "label_counts": COUNTS},
    "duplicates": [{"fault": "repeated in train", "images": 3}, {"fault": "repeated in test", "images": 0}],
}
TRIALS = [["model", "trial", "dropout"], ["cnn2", "0", "0.1"], ["cnn2", "1", ""]]
OWN, LENT = Noise(1e-6, 8.0, True, "", ("cnn2",)), Noise(1e-6, 8.0, True, "cnn2", ("cnn2",))
BETTER, NONE = "better", "no difference shown"


def answer(value: float, verdict: str) -> tuple[Answer, float]:
    """A difference with this verdict, and its adjusted p value."""
    found = Answer(value, value - 0.03, value + 0.03, 0.001, 0.015)
    return found.turned if verdict == "worse" else found, 1.0 if verdict == NONE else 0.001


def pair(one: Ranked, other: Ranked, shipped: str = BETTER, verdict: str | None = BETTER) -> Pair:
    return Pair(one, other, *answer(0.05, shipped), *(answer(0.04, verdict) if verdict else (None, None)))


@pytest.fixture
def comparison(tuned) -> Comparison:
    interval = (0.84, 0.88)
    best = ranked("best", 0.9, training=Training(1, LENT), mean_interval=(0.85, 0.95))
    control = ranked("control", 0.87, training=Training(1, LENT), mean_interval=interval)
    cnn2 = ranked("cnn2", 0.85, training=Training(3, OWN), mean_interval=interval)
    resnet50 = ranked("resnet50", 0.8)
    pairs = [
        pair(best, control, NONE, "worse"),
        pair(best, cnn2),
        pair(best, resnet50, verdict=None),
        pair(control, cnn2, verdict=NONE),
        pair(control, resnet50, verdict=None),
        pair(cnn2, resnet50, NONE, NONE),
    ]
    return Comparison([best, control, cnn2, resnet50], pairs, tuned, 0.02)


def without(comparison: Comparison, *same: set[str]) -> Comparison:
    """The comparison where these models are one, and so no pair."""
    return replace(comparison, pairs=[pair for pair in comparison.pairs if {*pair.names} not in same])


@pytest.fixture
def written(params):
    """The report of a comparison."""

    def page(comparison: Comparison, **changes) -> str:
        arguments = {"eda": EDA, "trials": TRIALS, "params": params} | changes
        return pages.report(comparison, **arguments).pages["reports/report.md"]

    return page


def test_the_ranking_has_a_row_per_model(comparison):
    assert words.render("ranking", comparison=comparison).splitlines()[2:6] == [
        "| 1 | best (cnn2, tuned) | 0.9000 | 0.8500 – 0.9500 | 0.9000 (1) | 0.8500 – 0.9500 | 0.0010† "
        "| 0.500 | 0.9100 |",
        "| 2 | control (cnn2, 14 epochs) | 0.8700 | 0.8200 – 0.9200 | 0.8700 (1) | 0.8400 – 0.8800 | 0.0010† "
        "| 0.500 | 0.8800 |",
        "| 3 | cnn2 | 0.8500 | 0.8000 – 0.9000 | 0.8500 (3) | 0.8400 – 0.8800 | 0.0010 | 0.500 | 0.8600 |",
        "| 4 | resnet50 | 0.8000 | 0.7500 – 0.8500 | 0.8000 (1) | – | – | 0.500 | 0.8100 |",
    ]


def test_the_report_says_so_if_a_search_mixed_kinds_of_arithmetic(comparison, written):
    mixed = replace(comparison, tuned=comparison.tuned | {"kinds_of_arithmetic": 2})
    assert "kinds of arithmetic" not in written(comparison)
    assert "The search took 5 trials, 14 epochs in all, under 2 kinds of arithmetic, such as" in written(mixed)


def test_the_ranking_fits_into_120_columns(comparison):
    assert max(map(len, words.render("ranking", comparison=comparison).splitlines())) <= 120


def test_the_page_of_a_model_has_a_row_per_class():
    cat = {"class": "cat", "roc_auc": 0.91234, "low": 0.9, "high": 0.925}
    average = {"class": "macro avg", "roc_auc": 0.9, "low": 0.88, "high": 0.92}
    rows = [
        cat | {"precision": 0.5, "recall": 0.25, "f1-score": 0.3333, "support": 100.0},
        average | {"precision": 0.5, "recall": 0.5, "f1-score": 0.5, "support": 200.0},
    ]
    page = {"model": ranked("cnn2", 0.9), "class_names": [], "confusion": None, "mistakes": []}
    assert words.render("classification", classes=rows, **page).splitlines()[:6] == [
        "# cnn2: test scores by class",
        "",
        "| class | ROC-AUC | 95 % interval | precision | recall | F1 | images |",
        "|---|---|---|---|---|---|---|",
        "| cat | 0.9123 | 0.9000 – 0.9250 | 0.500 | 0.250 | 0.333 | 100 |",
        "| macro avg | 0.9000 | 0.8800 – 0.9200 | 0.500 | 0.500 | 0.500 | 200 |",
    ]


NAMES = {
    "a word of scikit-learn": ("accuracy", "accuracy"),
    "another": ("macro avg", "macro avg"),
    "a formula": ("$_$", "&#36;&#95;&#36;"),
    "HTML": ("a & <b>", "a &#38; &#60;b&#62;"),
    "a template": ("{{ name }}", "&#123;&#123; name &#125;&#125;"),
    "a cell": ("a|b", "a&#124;b"),
}


def with_class(name: str) -> Ranked:
    test = record(0.9)
    test["class_roc_auc"][0]["class"] = name
    return ranked("cnn2", 0.9, test=test)


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_a_class_may_have_any_printable_name(name, shown):
    text = pages.classification(with_class(name), [name, "b", "c"])
    assert f"| {shown} | 0.9000 | 0.8500 – 0.9500 | 1.000 | 1.000 | 1.000 | 2 |" in text
    assert f"| | {shown} | b | c |\n|---|---|---|---|\n| {shown} | **2** | · | · |\n| b | · | **2** | · |\n" in text


def test_a_matrix_of_many_classes_is_left_to_dvc(monkeypatch):
    monkeypatch.setattr(pages, "MOST_CLASSES", 2)
    text = pages.classification(ranked("cnn2", 0.9), ["a", "b", "c"])
    assert "A matrix of 3 classes is too large for a page. `make plots` draws it.\n" in text


def test_a_model_without_mistakes_has_a_sentence_in_place_of_their_table():
    text = pages.classification(ranked("cnn2", 0.9), ["a", "b", "c"])
    assert "The model makes no mistake on the test split.\n" in text


def test_a_mistake_is_shown_with_both_probabilities():
    mistake = Mistake(7, "0123abcd", "cat", "<dog>", 0.9, 0.05)
    text = words.render("mistakes", mistakes=[mistake])
    assert "| 7 | 0123abcd | cat | 0.050 | &#60;dog&#62; | 0.900 |\n" in text


CONCLUSIONS = {
    "who leads": (
        "- The model with the highest ROC-AUC is **best**: 0.9000 [0.8500, 0.9500], counting the "
        "sampling error of the test images."
    ),
    "who leads by the mean": (
        "- The highest mean over runs has **best**, trained once: 0.9000 [0.8500, 0.9500], counting "
        "sampling error and seed variance."
    ),
    "whom these models beat": "- These models: best is better than cnn2, resnet50.",
    "whom the first would beat again": "- Trained again: best is better than cnn2†.",
    "whom it would lose to again": "- Trained again: best is worse than control†.",
    "what is unknown": "- Trained again: best cannot be compared, for want of repeats, with resnet50.",
    "how many pairs differ": (
        "- Of 6 pairs of models, 4 differ as they are, and 2 if trained again. The other pairs cannot be ranked"
    ),
    "what the search gained": (
        "- The search changed these models by +0.0500 [+0.0200, +0.0800] (no difference shown) and, trained again, by "
        "-0.0400 [-0.0700, -0.0100] (worse†): best against control, which is cnn2 with untuned settings, "
        "trained for 14 epochs as well. On validation, by which it was chosen, it changed the score by +0.0200.\n"
    ),
    "what further epochs gained": (
        "- The epochs of the winner, 14, changed these models by +0.0500 [+0.0200, +0.0800] (better) and, trained "
        "again, by +0.0400 [+0.0100, +0.0700] (no difference shown†), without any search: control against cnn2.\n"
    ),
    "what both gained": (
        "- Both together changed these models by +0.0500 [+0.0200, +0.0800] (better) and, trained again, by +0.0400 "
        "[+0.0100, +0.0700] (better†): best against cnn2.\n"
    ),
}


@pytest.mark.parametrize("line", CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_the_conclusion_says(line, comparison, written):
    assert f"\n{line}" in written(comparison)


def test_the_conclusion_claims_no_difference_that_is_not_shown(comparison, written):
    best, _, cnn2, resnet50 = comparison.ranking
    changed = replace(comparison, pairs=[pair(best, cnn2, NONE, NONE), pair(best, resnet50, "worse", BETTER)])
    text = written(changed)
    assert "- These models: best is not shown to differ from cnn2.\n" in text
    assert "- These models: best is worse than resnet50.\n" in text
    assert "- Trained again: best is not shown to differ from cnn2†.\n" in text
    assert "best is better than cnn2" not in text


def test_the_highest_mean_may_be_of_another_model_than_the_highest_area(comparison, written):
    *others, last = comparison.ranking
    steady = replace(last, test=record(0.8, roc_auc_mean=0.95))
    assert "- The highest mean over runs has **resnet50**, trained once: 0.9500, with" in written(
        replace(comparison, ranking=[*others, steady])
    )


def test_the_highest_mean_may_have_no_interval(comparison, written):
    first = replace(comparison.ranking[0], training=Training(1, None), mean_interval=None)
    text = written(replace(comparison, ranking=[first, *comparison.ranking[1:]]))
    assert "**best**, trained once: 0.9000, with an interval that is unknown for want of repeats.\n" in text


def test_a_model_keeps_its_place_in_the_plots_of_all_models_whatever_its_rank(comparison, params):
    """Their colours are given by place."""
    models = {name: params.models[name] for name in ("resnet50", "cnn2")}
    some = params.model_copy(update={"models": models})
    for ranking in (comparison.ranking, comparison.ranking[::-1]):
        written = pages.report(replace(comparison, ranking=ranking), EDA, TRIALS, some)
        for _, rows in written.tables.values():
            assert list(dict.fromkeys(row[0] for row in rows)) == ["best", "control", "resnet50", "cnn2"]
        for name in ("learning_curves", "roc"):
            labels = written.figures[f"plots/{name}.png"].axes[0].get_legend_handles_labels()[1]
            assert labels == ["best", "control", "resnet50", "cnn2"]


NEAR_COPIES = {
    "group": "It kept near-duplicates in the same split.",
    "drop": "It also dropped near-duplicates: of test images, and all but one of each group.",
    "ignore": "It did not look for near-duplicates.",
}


@pytest.mark.parametrize(("chosen", "sentence"), NEAR_COPIES.items(), ids=NEAR_COPIES)
def test_the_report_says_what_became_of_copies(comparison, written, params, chosen, sentence):
    prepare = params.prepare.model_copy(update={"near_duplicates": chosen})
    text = written(comparison, params=params.model_copy(update={"prepare": prepare}))
    assert f"In training, `prepare` dropped exact copies. {sentence} Found in the raw images:\n" in text


def test_the_conclusion_is_one_list(comparison, written):
    (conclusion,) = re.findall("## Conclusion\n\n(.*?)\n\n## ", written(comparison), re.DOTALL)
    assert [line for line in conclusion.splitlines() if not line.startswith("- ")] == []


def test_the_matrix_has_two_signs_per_pair(comparison, written):
    assert (
        "| | | 1 | 2 | 3 | 4 |\n|---|---|---|---|---|---|\n"
        "| 1 | best |  | = −† | + +† | + ? |\n| 2 | control | = +† |  | + =† | + ? |\n"
        "| 3 | cnn2 | − −† | − =† |  | = = |\n| 4 | resnet50 | − ? | − ? | = = |  |\n"
    ) in written(comparison)


def test_the_report_says_from_whom_noise_is_borrowed(comparison, written):
    assert "- † best was trained once; its seed variance is estimated from cnn2.\n" in written(comparison)


STATES = {
    "confirmed": "- The search found a block that is shown to be better than cnn2's own, on validation and from fresh",
    "not shown": "- The search found nothing that is shown to be better than cnn2's own block ([Tuning](#tuning)).\n",
    "off": "- The winner of the search was not confirmed from fresh seeds: `tune.finalists` is 0.\n",
}


@pytest.mark.parametrize("state", STATES)
def test_the_conclusion_says_whether_the_winner_of_the_search_was_confirmed(comparison, tuned, written, state):
    text = written(replace(comparison, tuned=tuned | {"confirm": tuned["confirm"] | {"state": state}}))
    assert [each for each in STATES.values() if each in text] == [STATES[state]]


def test_the_report_has_what_each_finalist_gained(comparison, tuned, written):
    gains = ("difference", "optimism", "low", "high", "p")
    diverged = finalist("cnn2", trial=4, roc_auc=None, **dict.fromkeys(gains))
    finalists = tuned["confirm"]["finalists"] | {"trial 4 of cnn2": diverged}
    text = written(replace(comparison, tuned=tuned | {"confirm": tuned["confirm"] | {"finalists": finalists}}))
    assert (
        "runs from fresh seeds: 0.9000 and 0.8800. Of the difference, +0.0200, 0.0020 is expected because it was "
        "chosen on the same images; the rest lies in [+0.0100, +0.0260].\n- trial 4 of cnn2 against the own block"
    ) in text
    assert "fresh seeds: a run diverged.\n" in text


def test_the_report_says_that_the_own_block_won_and_is_best_and_control(comparison, tuned, written):
    one_model = without(comparison, {"best", "control"})
    text = written(replace(one_model, tuned=tuned | {"trial": None, "values": {}}))
    assert "- Best and control are one model: cnn2's own block, trained for 14 epochs.\n" in text
    assert "The own block of cnn2 won.\n" in text
    assert "The search changed" not in text
    assert "control against cnn2.\n" in text


def test_the_report_says_that_no_epochs_were_added_where_the_winner_has_as_many(comparison, written):
    text = written(without(comparison, {"control", "cnn2"}))
    assert "- The winner has as many epochs as cnn2, 14, so that control and cnn2 are one model.\n" in text
    assert "without any search" not in text
    assert "best against control" in text


def test_a_search_that_changed_nothing_at_all_has_no_gain(comparison, written):
    text = written(without(comparison, {"best", "control"}, {"control", "cnn2"}, {"best", "cnn2"}))
    assert "changed these models" not in text


def test_checks_that_found_something_are_shown_with_what_to_do(comparison, written):
    text = written(comparison)
    assert "| C6 | Verdict unknown for want of repeats | 1 |\n" in text
    assert "### C6: Verdict unknown for want of repeats\n\nSet `repeats` of" in text
    assert "\n- resnet50: runs: 1\n" in text.replace("&#58;", ":")


def test_checks_that_found_nothing_are_listed_only(comparison, written):
    text = written(comparison)
    assert "| C5 | Few or unbalanced images per class | nothing |\n" in text
    assert "### C5" not in text


def test_the_report_has_the_calibration_of_each_model(comparison, written):
    assert "| cnn2 | 0.000 | 0.000 – 0.000 | 0.000 | 1.20 |\n" in written(comparison)


PARTS = ["Conclusion", "Ranking", "Checks", "Learning", "ROC", "Calibration", "Most confident mistakes of best"]


def test_the_report_has_its_parts_in_order(comparison, written):
    headings = [line[3:] for line in written(comparison).splitlines() if line.startswith("## ")]
    assert headings == [*PARTS, "Tuning", "Data", "Each model"]


def test_the_report_shows_every_figure_that_it_draws(comparison, params):
    drawn = pages.report(comparison, EDA, TRIALS, params)
    for path in drawn.figures:
        assert f"](../{path})" in drawn.pages["reports/report.md"]


def test_the_report_says_which_trial_won_with_which_values(comparison, tuned, written):
    changed = replace(
        comparison, tuned=tuned | {"values": {"learning_rate": 0.00123456, "epochs": 16, "pooling": "max"}}
    )
    text = written(changed)
    assert "Trial 3 of cnn2 won:\nlearning_rate 0.001235, epochs 16, pooling max.\n" in text


def test_the_report_has_a_row_per_trial(comparison, written):
    table = "| model | trial | dropout |\n|---|---|---|\n| cnn2 | 0 | 0.1 |\n| cnn2 | 1 |  |\n"
    assert f"\n\n{table}\n" in written(comparison)


def test_the_report_has_the_table_of_the_ranking(comparison, written):
    assert words.render("ranking", comparison=comparison) in written(comparison)


def test_the_report_counts_images_and_duplicates(comparison, written):
    text = written(comparison)
    assert "40 training and 12 test images in 3 classes." in text
    assert "- repeated in train: 3\n- repeated in test: 0\n" in text


def test_a_record_that_a_template_lacks_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        words.render("ranking")
