"""Numbered checks of a run: what a reviewer should look at, and what to do about it.

Each function below is one rule. It returns a case per subject that the rule applies to, and none if all is well.
templates/checks.md.j2 has the title of each check and what to do about it; docs/methods.md lists the rules.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from study.data.arrays import FEW
from study.eda.record import Eda
from study.params.schema import Range, Space
from study.report.comparisons import Comparison, Ranked
from study.search.outcome.winner import Winner

EDGE = 0.05  # of a range on its own scale, so that one of ten uniform draws lies at an end by chance
ACCURACY_GAP = 0.1  # between training and validation: three standard errors of a share near a half in 200 images
LOSS_FALL = 0.02  # of the training loss in the last epoch; a rate that has come down to 0 lowers it by less
LEAST_EPOCHS = 3  # before a learning curve says whether it has levelled off
CHANCE = 0.5  # the ROC-AUC of a constant guess
UNBALANCED = 5  # images of the largest class per image of the smallest


@dataclass(frozen=True)
class Case:
    """What a rule applies to: a model, a param, or classes of a split."""

    subject: str
    measured: str


def checks(comparison: Comparison, eda: Eda, space: Space) -> dict[str, list[Case]]:
    """The cases of all checks; `space` is what was searched."""
    models = comparison.ranking
    return {
        "C1": at_the_edge(comparison.tuned, space),
        "C2": over_fitting(models),
        "C3": under_fitting(models),
        "C4": no_better_than_a_guess(models, len(eda["classes"])),
        "C5": few_or_unbalanced(eda),
        "C6": trained_once(models),
        "C7": collapsed(models),
        "C8": miscalibrated(models),
    }


def at_the_edge(tuned: Winner, space: Space) -> list[Case]:
    """Searched numbers of the winner that lie within EDGE of an end of their range, or are an end of their list.

    An end counts only if the model could have a value beyond it: there is no dropout below 0.
    """
    cases = []
    for key, values in space.items():
        value = tuned["values"].get(key)
        if not _is_number(value) or not (isinstance(values, Range) or all(map(_is_number, values))):
            continue
        scale = math.log if isinstance(values, Range) and values.log else float
        low, high = (values.low, values.high) if isinstance(values, Range) else (min(values), max(values))
        margin = EDGE * (scale(high) - scale(low)) if isinstance(values, Range) else 0.0
        is_low = scale(value) - scale(low) <= margin and low not in (0, 1)  # nothing goes below 0, no number below 1
        if low < high and (is_low or scale(high) - scale(value) <= margin):
            cases.append(Case(key, f"{value:.4g} in {low:.4g} to {high:.4g}"))
    return cases


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def over_fitting(models: list[Ranked]) -> list[Case]:
    """In the last epoch, training accuracy is higher than validation accuracy by more than ACCURACY_GAP, and validation
    loss is above its lowest. Dropout and augmentation lower training accuracy, so the gap is wider than it looks.
    """
    cases = []
    for model in models:
        history = model.validation["history"]
        last, lowest = history[-1], min(row["val_loss"] for row in history)
        if last["accuracy"] - last["val_accuracy"] > ACCURACY_GAP and last["val_loss"] > lowest:
            cases.append(
                Case(
                    model.name,
                    f"accuracy {last['accuracy']:.3f} in training, {last['val_accuracy']:.3f} on validation; "
                    f"validation loss {last['val_loss']:.3f}, at its lowest {lowest:.3f}",
                )
            )
    return cases


def under_fitting(models: list[Ranked]) -> list[Case]:
    """Validation loss is lowest in the last epoch, and training loss fell by more than LOSS_FALL in it, or there were
    fewer than LEAST_EPOCHS.
    """
    cases = []
    for model in models:
        losses = [row["loss"] for row in model.validation["history"]]
        validation = [row["val_loss"] for row in model.validation["history"]]
        if validation[-1] > min(validation):
            continue
        if len(losses) < LEAST_EPOCHS:
            cases.append(Case(model.name, f"fewer than {LEAST_EPOCHS} epochs"))
        elif (fall := 1 - losses[-1] / losses[-2]) > LOSS_FALL:
            cases.append(Case(model.name, f"training loss fell by {100 * fall:.1f} % in the last epoch"))
    return cases


def no_better_than_a_guess(models: list[Ranked], classes: int) -> list[Case]:
    """The interval of the test ROC-AUC, or without one the ROC-AUC itself, reaches down to CHANCE, or the test log loss
    is above log(classes), which a guess of one probability for all classes has.
    """
    guess = math.log(classes)
    return [
        Case(
            model.name,
            f"ROC-AUC {'from ' if model.interval else ''}{lowest(model):.4f}; log loss {model.test['log_loss']:.3f}, "
            f"of a guess {guess:.3f}",
        )
        for model in models
        if lowest(model) <= CHANCE or model.test["log_loss"] > guess
    ]


def lowest(model: Ranked) -> float:
    """The lower bound of the test ROC-AUC, or itself if it has none."""
    return model.interval[0] if model.interval else model.test["roc_auc"]


def few_or_unbalanced(eda: Eda) -> list[Case]:
    """A class has fewer than FEW images in a split, or the largest has more than UNBALANCED times the smallest's."""
    cases = []
    for split in ("train", "test"):
        counts: Mapping[str, int] = eda[split]["label_counts"]
        rare, common = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        if counts[rare] < FEW or counts[common] > UNBALANCED * counts[rare]:
            cases.append(Case(split, f"{counts[rare]} images of {rare}, {counts[common]} of {common}"))
    return cases


def trained_once(models: list[Ranked]) -> list[Case]:
    """A model was trained once: nothing says what another seed does to it."""
    return [Case(model.name, "1 run") for model in models if model.spread is None]


def collapsed(models: list[Ranked]) -> list[Case]:
    """Repeats of a model ended far below its others: see `moderation.collapsed`."""
    return [
        Case(
            model.name,
            f"{model.collapsed} of {model.repeats} runs: "
            + ", ".join(f"seed {repeat['seed']} {repeat['roc_auc']:.4f}" for repeat in model.test["repeats"]),
        )
        for model in models
        if model.collapsed
    ]


def miscalibrated(models: list[Ranked]) -> list[Case]:
    """The interval of the expected calibration error, less what a calibrated model shows by chance, excludes 0."""
    cases = []
    for model in models:
        error = model.calibration_error
        if error.low > 0:
            cases.append(
                Case(
                    model.name,
                    f"calibration error {error.value:.3f}, by chance {error.calibrated:.3f}; temperature "
                    f"{model.validation['temperature']:.2f}",
                )
            )
    return cases
