"""Figures of all models together."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from study.drawing import figures
from study.params.schema import BEST
from study.report.comparisons import Ranked

ABREAST = 4  # reliability diagrams in a row
LEGEND = 10  # models per column of a legend
BELOW = 0.28  # the ticks of runs, in rows
LABEL = "mean test ROC-AUC of the runs with 95 % interval (scale: logarithm of 1 − ROC-AUC); small ticks: each run"
TICKS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0]
LEAST_MISSED = 0.002  # an area of 1 has no place on the scale: all above 1 − this lie together


def ranking(models: list[Ranked]) -> Figure:
    """The mean of each model's runs with its interval, if any, and the runs, the first model on top."""
    figure, axis = figures.subplots(figsize=(8, 0.5 * len(models) + 1))
    names = [model.name for model in reversed(models)]
    lowest = min(model.interval[0] if model.interval else model.test["roc_auc_mean"] for model in models)
    for place, model in enumerate(reversed(models)):
        area = model.test["roc_auc_mean"]
        colour = figures.COLOURS[1 if model.name == BEST else 0]
        if model.interval:
            axis.plot(model.interval, [place, place], color=colour, linewidth=3)
        axis.plot(area, place, "o", color=colour, markersize=8)
        runs = [repeat["roc_auc"] for repeat in model.test["repeats"]]
        axis.plot(runs, [place - BELOW] * len(runs), "|", color=colour, markersize=6)
        axis.annotate(f"{area:.4f}", (area, place), (0, 7), textcoords="offset points", ha="center")
    axis.set_xscale("function", functions=(_stretched, lambda places: 1 - 10.0**-places))
    axis.set_xticks(TICKS, map(str, TICKS))
    axis.set_xlim(lowest - 0.02, 1 - LEAST_MISSED)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel=LABEL, ylim=(-0.6, len(names) - 0.3))
    axis.grid(axis="x")
    return figure


def _stretched(areas: np.ndarray) -> np.ndarray:
    """Places of areas on a scale that spreads those near 1."""
    return -np.log10(np.maximum(1 - np.asarray(areas), LEAST_MISSED))


def learning_curves(models: Sequence[Ranked]) -> Figure:
    """Validation ROC-AUC, accuracy and loss after each epoch."""
    scores = {"val_roc_auc": "validation ROC-AUC", "val_accuracy": "validation accuracy", "val_loss": "validation loss"}
    figure, axes = figures.subplots(1, len(scores), figsize=(11, 3.4))
    for axis, (score, label) in zip(axes, scores.items(), strict=True):
        axis.set_prop_cycle(figures.LINES)
        for model in models:
            history = model.validation["history"]
            axis.plot([row["epoch"] for row in history], [row[score] for row in history], marker=".", label=model.name)
        axis.set(xlabel="epoch", title=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid()
    _legend(figure, len(models))
    return figure


def roc(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """The macro ROC curve of each model; the dotted line is a guess."""
    figure, axis = figures.subplots(figsize=(5.4, 5))
    axis.set_prop_cycle(figures.LINES)
    for name, curve in curves.items():
        axis.plot(*zip(*curve, strict=True), label=name)
    axis.plot([0, 1], [0, 1], ":", color=figures.INK, linewidth=1)
    axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axis.grid()
    _legend(figure, len(curves))
    return figure


def _legend(figure: Figure, models: int) -> None:
    """Right of the axes, which all show the same models."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = -(-models // LEGEND)
    figure.tight_layout()
    figure.legend(handles, labels, loc="center left", bbox_to_anchor=(1, 0.5), ncols=columns)


def reliability(models: Sequence[Ranked]) -> Figure:
    """Accuracy over confidence of each model's bins with 95 % intervals; the dotted line is perfect calibration."""
    columns = min(len(models), ABREAST)
    rows = -(-len(models) // columns)
    figure, axes = figures.subplots(
        rows, columns, figsize=(2.7 * columns, 2.7 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat[len(models) :]:
        axis.axis("off")
    for axis, model in zip(axes.flat, models, strict=False):
        axis.plot([0, 1], [0, 1], ":", color=figures.INK, linewidth=1)
        for each in model.reliability:
            axis.vlines(each.confidence, each.accuracy_low, each.accuracy_high, figures.COLOURS[0])
            axis.plot(each.confidence, each.accuracy, "o", color=figures.COLOURS[0], markersize=4, clip_on=False)
        ends = {"xlim": (0, 1), "ylim": (0, 1), "xticks": (0, 0.5, 1), "yticks": (0, 0.5, 1)}
        axis.set(**ends, aspect="equal", title=model.name)
        axis.tick_params(labelbottom=True)
        axis.grid()
    figure.supxlabel("confidence")
    figure.supylabel("accuracy on test")
    figure.tight_layout()
    return figure
