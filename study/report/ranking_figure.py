"""The figure of the ranking."""

from matplotlib.figure import Figure

from study.drawing import figures
from study.params.schema import BEST
from study.report.comparisons import Ranked

BELOW = 0.28  # the interval of the mean, in rows
LABEL = (
    "test ROC-AUC (macro one-versus-rest) with 95 % interval by the draw of images\n"
    "thin: mean over trainings, by the draw of images and seeds"
)


def ranking(models: list[Ranked]) -> Figure:
    """Each model's test ROC-AUC and the mean over its trainings with their intervals, the first model on top."""
    figure, axis = figures.subplots(figsize=(8, 0.5 * len(models) + 1))
    names = [model.name for model in reversed(models)]
    for place, model in enumerate(reversed(models)):
        area, low, high = (model.test[key] for key in ("roc_auc", "roc_auc_low", "roc_auc_high"))
        colour = figures.COLOURS[1 if model.name == BEST else 0]
        axis.plot([low, high], [place, place], color=colour, linewidth=3)
        axis.plot(area, place, "o", color=colour, markersize=8)
        axis.annotate(f"{area:.4f}", (area, place), (0, 7), textcoords="offset points", ha="center")
        if model.mean_interval:
            axis.plot(model.mean_interval, [place - BELOW] * 2, color=colour, linewidth=1)
            axis.plot(model.test["roc_auc_mean"], place - BELOW, "|", color=colour, markersize=8)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel=LABEL, ylim=(-0.6, len(names) - 0.3))
    axis.grid(axis="x")
    return figure
