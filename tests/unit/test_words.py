"""Templates turn records into Markdown."""

import re
from dataclasses import replace

import jinja2
import pytest
from samples import finalist, pictures, ranked, record, repeated, sample, without_intervals

from study.evaluation.image_scores import image_scores
from study.report import pages, words
from study.report.comparisons import Comparison, Mistake, Ranked
from study.report.differences import Answer, Pair
from study.report.moderation import SeedVariance

COUNTS = {"a": 12, "b": 14, "c": 14}
EDA = {
    "classes": ["a", "b", "c"],
    "train": {"images_shape": [40, 8, 8, 3], "label_counts": COUNTS},
    "test": {"images_shape": [12, 8, 8, 3], "label_counts": COUNTS},
    "duplicates": [{"fault": "repeated in train", "images": 3}, {"fault": "repeated in test", "images": 0}],
}
TRIALS = [["model", "trial", "dropout"], ["cnn2", "0", "0.1"], ["cnn2", "1", ""]]


def pair(one: Ranked, other: Ranked, verdict: str = "better", reason: str = "") -> Pair:
    value = {"worse": -0.04, "equivalent": 0.0}.get(verdict, 0.04)
    shipped, retrained = Answer(0.05, 0.02, 0.08, 0.001), Answer(value, value - 0.03, value + 0.03, 0.001)
    if verdict == "unknown":
        return Pair(one, other, shipped, None, None, None, verdict, reason)
    return Pair(one, other, shipped, retrained, 0.01, 0.9, verdict, reason)


SETTLED = "about 8 repeats would settle it"


@pytest.fixture
def comparison(tuned) -> Comparison:
    own = SeedVariance(1e-6, 0.0, 2, 8.0)
    best, control, cnn2 = (
        ranked(name, area, test=repeated(area, area, 0.001), seeds=own, images=IMAGES)
        for name, area in (("best", 0.9), ("control", 0.87), ("cnn2", 0.85))
    )
    resnet50 = ranked("resnet50", 0.8)
    pairs = [
        pair(best, control),
        pair(best, cnn2, "unclear", SETTLED),
        pair(best, resnet50, "unknown", "resnet50 was trained once"),
        pair(control, cnn2, "equivalent"),
        pair(control, resnet50, "unknown", "resnet50 was trained once"),
        pair(cnn2, resnet50, "worse"),
    ]
    return Comparison([best, control, cnn2, resnet50], pairs, tuned)


def with_search(comparison: Comparison, verdict: str, reason: str = "") -> Comparison:
    """The comparison with another verdict of best against control."""
    best, control, *_ = comparison.ranking
    return replace(comparison, pairs=[pair(best, control, verdict, reason), *comparison.pairs[1:]])


LABELS, PROBABILITIES = sample(0, 150, 3)
IMAGES = image_scores(pictures(150), LABELS, [PROBABILITIES])


def without(comparison: Comparison, *same: set[str]) -> Comparison:
    """The comparison where these models are one, and so no pair."""
    return replace(comparison, pairs=[pair for pair in comparison.pairs if {*pair.names} not in same])


@pytest.fixture
def written(params, monkeypatch):
    """The report of a comparison, without its figures."""
    for name in ("ranking", "learning_curves", "roc", "reliability"):
        monkeypatch.setattr(pages.model_figures, name, lambda *_: None)

    def page(comparison: Comparison, **changes) -> str:
        arguments = {"eda": EDA, "trials": TRIALS, "params": params} | changes
        return pages.report(comparison, **arguments).pages["reports/report.md"]

    return page


def test_the_ranking_has_a_row_per_model(comparison):
    best, control, cnn2 = ("{:.4f} – {:.4f}".format(*model.interval) for model in comparison.ranking[:3])
    assert words.render("ranking", comparison=comparison).splitlines()[2:6] == [
        f"| best (cnn2, tuned) | 3 | 0.9000 | {best} | 0.500 | 0.9100 |",
        f"| control (cnn2, 14 epochs) | 3 | 0.8700 | {control} | 0.500 | 0.8800 |",
        f"| cnn2 | 3 | 0.8500 | {cnn2} | 0.500 | 0.8600 |",
        "| resnet50 | 1 | 0.8000 | 0.7500 – 0.8500 | 0.500 | 0.8100 |",
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
    "who leads": "- **best** has the highest mean test ROC-AUC, 0.9000 [",
    "whom it beats": (
        "over 3 runs. If all were trained again, it is better than control; it is not shown to differ from cnn2; it "
        "has no verdict against resnet50.\n"
    ),
    "what tuning gained": (
        "- Tuning gained +0.0400 [+0.0100, +0.0700]: best against control, which is cnn2's own block, trained for as "
        "many epochs. The gain was"
    ),
    "what to look at": "- Next: look at 3 checks of the report that found something: C1, C3, C6.\n",
}


@pytest.mark.parametrize("line", CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_the_conclusion_says(line, comparison, written):
    assert line in written(comparison)


NOT_GAINED = {
    "unclear": ("best is not shown to differ from control", SETTLED),
    "worse": ("best is worse than control", ""),
    "equivalent": ("best is equivalent to control", ""),
}


@pytest.mark.parametrize(("verdict", "expected"), NOT_GAINED.items(), ids=NOT_GAINED)
def test_the_conclusion_claims_no_gain_that_is_not_shown(comparison, written, verdict, expected):
    claim, reason = expected
    (line,) = re.findall("- Tuning is not shown .*\n", written(with_search(comparison, verdict, reason)))
    assert claim in line
    assert line.endswith(f"]); {reason}.\n" if reason else "]).\n")


def test_the_report_begins_with_three_sentences(comparison, written):
    assert [line[:2] for line in written(comparison).splitlines()[:6]] == ["# ", "", "- ", "- ", "- ", ""]


def test_pages_say_why_a_roc_auc_has_no_interval(comparison, written):
    few = replace(comparison, ranking=[without_intervals(model) for model in comparison.ranking])
    text, page = written(few), pages.classification(few.ranking[2], ["a", "b", "c"])
    assert "has the highest mean test ROC-AUC, 0.9000 over 3 runs." in text
    assert "| cnn2 | 3 | 0.8500 | – | 0.500 |" in text
    assert "| a | 0.8500 | – | " in page
    assert "| macro avg | 0.8500 | – | " in page
    for each in (text, page):
        assert "\nROC-AUC has no interval, because a class has fewer than five test images.\n" in each


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


def test_the_matrix_has_a_sign_per_pair(comparison, written):
    assert (
        "| | | 1 | 2 | 3 | 4 |\n|---|---|---|---|---|---|\n"
        "| 1 | best |  | + | ? | · |\n| 2 | control | − |  | = | · |\n"
        "| 3 | cnn2 | ? | = |  | − |\n| 4 | resnet50 | · | · | + |  |\n"
    ) in written(comparison)


def test_an_unclear_pair_stands_with_what_would_settle_it(comparison, written):
    text = written(comparison)
    assert f"| cnn2 | +0.0400 [+0.0100, +0.0700] | unclear | 90 % | {SETTLED} |\n" in text
    assert "| resnet50 | – | unknown | – | resnet50 was trained once |\n" in text


def test_the_very_models_are_one_click_below(comparison, written):
    (below,) = re.findall("<details>(.*?)</details>", written(comparison), re.DOTALL)
    assert "| cnn2 | +0.0500 [+0.0200, +0.0800] |\n" in below


PLANNED = {
    "the search": "| best against control | the search | +0.0400 [+0.0100, +0.0700] | better |  |\n",
    "the epochs": "| control against cnn2 | the winner's 14 epochs | +0.0000 [-0.0300, +0.0300] | equivalent |  |\n",
    "both": f"| best against cnn2 | both | +0.0400 [+0.0100, +0.0700] | unclear | {SETTLED} |\n",
}


@pytest.mark.parametrize("row", PLANNED.values(), ids=PLANNED)
def test_what_tuning_changed_has_rows_of_its_own(row, comparison, written):
    assert row in written(comparison)


GAINED = {
    "confirmed": "trained for as many epochs. The gain was confirmed on validation from fresh seeds.\n",
    "off": "trained for as many epochs. It was not confirmed from fresh seeds on validation (`tune.finalists` is 0).\n",
}


@pytest.mark.parametrize("state", GAINED)
def test_the_conclusion_says_whether_the_winner_of_the_search_was_confirmed(comparison, tuned, written, state):
    text = written(replace(comparison, tuned=tuned | {"confirm": tuned["confirm"] | {"state": state}}))
    assert [each for each in GAINED.values() if each in text] == [GAINED[state]]


KEPT = {
    "not shown": "the search found nothing that is shown to be better than cnn2's own block",
    "off": "cnn2's own block was the best trial",
}


@pytest.mark.parametrize("state", KEPT)
def test_the_conclusion_says_why_the_own_block_won(comparison, tuned, written, state):
    one_model = without(comparison, {"best", "control"})
    changes = {"trial": None, "values": {}, "confirm": tuned["confirm"] | {"state": state}}
    text = written(replace(one_model, tuned=tuned | changes))
    assert f"- Tuning gained nothing: {KEPT[state]}, so best and control are one model.\n" in text
    assert "The own block of cnn2 won.\n" in text
    assert "| best against control |" not in text


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


def test_the_report_says_that_no_epochs_were_added_where_the_winner_has_as_many(comparison, written):
    text = written(without(comparison, {"control", "cnn2"}))
    assert "control and cnn2 have one block: the winner trains for as many epochs, 14.\n" in text


def test_checks_that_found_something_are_shown_with_what_to_do(comparison, written):
    text = written(comparison)
    assert "| C6 | Trained once, so that verdicts are unknown | 1 |\n" in text
    assert "### C6: Trained once, so that verdicts are unknown\n\nSet `repeats` of" in text
    assert "\n- resnet50: 1 run\n" in text


def test_checks_that_found_nothing_are_listed_only(comparison, written):
    text = written(comparison)
    assert "| C5 | Few or unbalanced images per class | nothing |\n" in text
    assert "### C5" not in text


def test_the_report_has_the_calibration_of_each_model(comparison, written):
    assert "| resnet50 | 0.000 | 0.000 – 0.000 | 0.000 | 1.20 |\n" in written(comparison)


PARTS = ["Ranking", "Verdicts", "Checks", "Learning", "ROC", "Calibration", "Most confident mistakes of best"]


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
