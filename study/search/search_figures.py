"""Figures of a search."""

import itertools
import warnings
from collections.abc import Mapping, Sequence

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import TrialState

from study.drawing import figures
from study.search.outcome.winner import Confirmation
from study.search.trials import trained


def history(studies: Mapping[str, optuna.Study], confirmation: Confirmation) -> Figure:
    """Validation ROC-AUC of each trial in each of its rungs, and the best so far of those that went through all.

    Beside each finalist that was confirmed, the mean of its fresh runs and a line to that of its control.
    """
    kept = [(model, trial) for model, study in studies.items() for trial in trained(study)]
    trials = [trial for _, trial in kept]
    place_of = {(model, trial.number): place for place, (model, trial) in enumerate(kept)}
    scores = [sorted(trial.intermediate_values.items()) for trial in trials]
    best = [(place, trial.value) for place, trial in enumerate(trials) if trial.state == TrialState.COMPLETE]
    areas = itertools.accumulate((area for _, area in best), max)
    figure, axis = figures.subplots(figsize=(7, 4.2))
    for rung in range(max(map(len, scores))):
        reached = [(place, *rungs[rung]) for place, rungs in enumerate(scores) if len(rungs) > rung]
        places, epochs, values = zip(*reached, strict=True)
        colour = figures.COLOURS[rung % len(figures.COLOURS)]
        axis.plot(places, values, "o", color=colour, label=f"rung {rung}: {_epochs(epochs)}")
    axis.step([place for place, _ in best], list(areas), where="post", color=figures.INK, label="best so far")
    ends = list(itertools.accumulate(len(trained(study)) for study in studies.values()))
    confirmed = [each for each in confirmation["finalists"].values() if each["roc_auc"] is not None]
    for number, each in enumerate(confirmed):
        means = [each["roc_auc"], each["control_roc_auc"]]
        label = None if number else "fresh runs: mean, and a line to the own block's"
        place = place_of[each["model"], each["trial"]] + 0.15
        axis.plot([place] * 2, means, "D-", markevery=[0], color=figures.INK, label=label)
    for end in ends[:-1]:
        axis.axvline(end - 0.5, color=figures.INK, linestyle=":")
    axis.set(xlabel=f"trials of {', then of '.join(studies)}", ylabel="validation ROC-AUC")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid()
    axis.legend()
    return figure


def _epochs(lengths: Sequence[int]) -> str:
    low, high = min(lengths), max(lengths)
    return f"{low} epochs" if low == high else f"{low} to {high} epochs"


def importance(study: optuna.Study, seed: int) -> Figure:
    """Share of the variance of the scores in the first rung that each param explains (fANOVA).

    A sentence if there is none to explain. Only these scores can be compared: every trial that did not diverge has one.
    """
    scored = in_first_rung(study)
    if len(scored.trials) < 2:
        return _sentence("fewer than two trials with a score: no importance of a param")
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    try:
        figures.use_style()
        with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
            axes = optuna.visualization.matplotlib.plot_param_importances(
                scored, evaluator=evaluator, target_name="validation ROC-AUC in the first rung"
            )
            return _restyled(axes)
    except (RuntimeError, ValueError):
        return _sentence("the trials' scores do not differ: no importance of a param")


def in_first_rung(study: optuna.Study) -> optuna.Study:
    """A study of the same trials, complete with their scores in the first rung: Optuna asks for complete ones."""
    copied = optuna.create_study(direction="maximize")
    for trial in study.trials:
        if trial.intermediate_values:
            score = trial.intermediate_values[min(trial.intermediate_values)]
            copied.add_trial(
                optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=score)
            )
    return copied


def _restyled(axes: Axes) -> Figure:
    """Optuna draws in a style of its own: dark text, and a white grid on a grey background."""
    axes.tick_params(colors=figures.INK)
    axes.grid(visible=True, color=figures.INK, alpha=0.3)
    axes.spines[:].set_color(figures.INK)
    for line in (*axes.lines, *axes.get_legend().get_lines()):
        line.set_alpha(1)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(figures.INK)
    return axes.figure


def _sentence(text: str) -> Figure:
    figure, axis = figures.subplots(figsize=(7, 1.2))
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center")
    return figure
