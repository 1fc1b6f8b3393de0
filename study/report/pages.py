"""The files of the report, from the records of a run: pages, tables for DVC's plots, and figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from study.eda.record import Eda
from study.params.schema import TRAINED_BY_BEST, Params
from study.report import checks, comparisons, model_figures, words
from study.report.comparisons import Comparison, Epoch, Ranked

MOST_CLASSES = 20  # of a confusion matrix that a page can show
Table = tuple[list[str], list[Sequence]]


@dataclass(frozen=True)
class Report:
    """By path."""

    pages: dict[str, str]
    tables: dict[str, Table]
    figures: dict[str, Figure]


def report(comparison: Comparison, eda: Eda, trials: list[list[str]], params: Params) -> Report:
    """`trials` are the rows of metrics/trials.csv; of params, `prepare`, `models`, `tune` and `report` are read."""
    ranking, class_names = comparison.ranking, eda["classes"]
    coloured = in_order_of_colours(ranking, params.models)
    curves = {model.name: comparisons.roc_curve(model) for model in coloured}
    rates = [(name, f"{fpr:.2f}", f"{tpr:.6f}") for name, curve in curves.items() for fpr, tpr in curve]
    epochs = [(model.name, *row.values()) for model in coloured for row in model.validation["history"]]
    family = params.models[comparison.tuned["model"]].family
    found = checks.checks(comparison, eda, getattr(params.tune.space, family))
    conclusion = words.render("conclusion", comparison=comparison, checks=found)
    table = words.render("ranking", comparison=comparison)
    text = words.render(
        "report",
        comparison=comparison,
        conclusion=conclusion,
        table=table,
        trials=trials,
        eda=eda,
        near_duplicates=params.prepare.near_duplicates,
        smallest_change=params.report.smallest_change,
        mistakes=comparisons.mistakes(ranking[0], class_names),
        checks=found,
    )
    pages = {"reports/ranking.md": f"{conclusion}\n{table}", "reports/report.md": text}
    return Report(
        pages | {f"reports/classification/{model.name}.md": classification(model, class_names) for model in ranking},
        {
            "plots/roc.csv": (["model", "fpr", "tpr"], rates),
            "plots/learning_curves.csv": (["model", *Epoch.__annotations__], epochs),
        },
        {
            "plots/ranking.png": model_figures.ranking(ranking),
            "plots/learning_curves.png": model_figures.learning_curves(coloured),
            "plots/roc.png": model_figures.roc(curves),
            "plots/calibration.png": model_figures.reliability(ranking),
        },
    )


def in_order_of_colours(models: Sequence[Ranked], blocks: Iterable[str]) -> list[Ranked]:
    """The order by which plots give colours: it stays when the ranking changes, and when a model is added last."""
    order = [*TRAINED_BY_BEST, *blocks]
    return sorted(models, key=lambda model: order.index(model.name))


def classification(model: Ranked, class_names: list[str]) -> str:
    """The page of one model."""
    classes = len(class_names)
    return words.render(
        "classification",
        model=model,
        classes=comparisons.class_scores(model, class_names),
        class_names=class_names,
        confusion=comparisons.confusion(model, classes) if classes <= MOST_CLASSES else None,
        mistakes=comparisons.mistakes(model, class_names),
    )
