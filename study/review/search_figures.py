"""Figures of a search, drawn by Optuna."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.review import figures


@contextmanager
def _drawing() -> Iterator[None]:
    figures.use_style()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def history(studies: dict[str, optuna.Study]) -> Figure:
    """Validation ROC-AUC of each trial, and the best so far."""
    with _drawing():
        axes = optuna.visualization.matplotlib.plot_optimization_history(
            list(studies.values()), target_name="validation ROC-AUC"
        )
    return _restyled(axes)


def importance(study: optuna.Study, seed: int) -> Figure:
    """Share of the trials' variance that each param explains (fANOVA); a sentence where there is none to explain."""
    if len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) < 2:
        return _sentence("fewer than two complete trials: no importance of a param")
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    try:
        with _drawing():
            return _restyled(optuna.visualization.matplotlib.plot_param_importances(study, evaluator=evaluator))
    except (RuntimeError, ValueError):
        return _sentence("the trials' scores do not differ: no importance of a param")


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
