"""report: what a reviewer reads. Reads metrics and predictions; writes reports/report.md, reports/ranking.md,
plots/roc.csv (one curve a model) and plots/ranking.png.

It comes after every choice is made, so it may look at test scores; nothing reads what it writes.
"""

import shutil

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_curve
from typing_extensions import TypedDict

from stages.lib import errors, figures, files, params, scoring
from stages.lib.errors import UserError

BEST = "best"
GRID = np.linspace(0, 1, 101)
Scores = dict[str, scoring.Scores]


class Best(TypedDict):
    """metrics/best.json, as far as the report shows it."""

    validation: scoring.Scores


class Images(TypedDict):
    images_shape: list[int]


class Eda(TypedDict):
    """metrics/eda.json, as far as the report shows it."""

    classes: list[str]
    train: Images
    test: Images
    exact_duplicates: dict[str, int]


def main() -> None:
    seed, models, scoring_params = params.load("seed", "models", "scoring")
    tuned, best = files.read_json("metrics/tune.json", params.Tuned), files.read_json("metrics/best.json", Best)
    if tuned["model"] not in models:
        raise UserError(f"metrics/tune.json: {tuned['model']} is no model of {params.FILE}; {files.RESTORE}")
    names = [*models, BEST]
    test = {name: files.read_json(f"metrics/test/{name}.json", scoring.Scores) for name in names}
    validation = {name: files.read_json(f"metrics/validation/{name}.json", scoring.Scores) for name in models}
    validation[BEST] = best["validation"]
    predictions = {name: files.read_npz(f"data/predictions/{name}.npz", "labels", "probabilities") for name in names}
    ranking = sorted(names, key=lambda name: test[name]["roc_auc"], reverse=True)

    replicates = {
        name: scoring.bootstrap_roc_auc(of["labels"], of["probabilities"], scoring_params.bootstrap_replicates, seed)
        for name, of in predictions.items()
    }
    files.write_csv("plots/roc.csv", ["model", "fpr", "tpr"], macro_roc_curves(ranking, predictions))
    figures.save(ranking_figure(ranking, test), "plots/ranking.png")
    table = ranking_table(ranking, test, validation, tuned["model"])
    files.write_text("reports/ranking.md", table)
    own_block_won = tuned["block"] == models[tuned["model"]]
    text = conclusion(ranking, test, validation, replicates, tuned["model"], own_block_won)
    files.write_text(
        "reports/report.md",
        report(
            table,
            text,
            ranking,
            tuned,
            files.read_json("metrics/eda.json", Eda),
        ),
    )
    shutil.rmtree(files.CHECKPOINTS, ignore_errors=True)  # DVC has recorded all that they were kept for
    print(table)


def ranking_table(ranking: list[str], test: Scores, validation: Scores, tuned_model: str) -> str:
    lines = [
        "| rank | model | test ROC-AUC | 95 % interval | test accuracy | test log loss | validation ROC-AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for rank, name in enumerate(ranking, start=1):
        of = test[name]
        shown = f"best ({tuned_model}, tuned)" if name == BEST else name
        lines.append(
            f"| {rank} | {shown} | {of['roc_auc']:.4f} | {of['roc_auc_low']:.4f} – {of['roc_auc_high']:.4f} "
            f"| {of['accuracy']:.4f} | {of['log_loss']:.4f} | {validation[name]['roc_auc']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def conclusion(
    ranking: list[str], test: Scores, validation: Scores, replicates: dict, model: str, own_block_won: bool
) -> list[str]:
    """Sentences that the numbers support: each difference with its paired bootstrap interval."""

    def difference(one: str, other: str) -> tuple[str, bool]:
        low, high = scoring.interval(replicates[one] - replicates[other])
        gap = test[one]["roc_auc"] - test[other]["roc_auc"]
        return f"{gap:+.4f} [{low:+.4f}, {high:+.4f}]", low > 0 or high < 0

    first = ranking[0]
    lines = [f"- First on the test split: **{first}**, ROC-AUC {_with_interval(test[first])}."]
    for name in ranking[1:]:
        if own_block_won and {first, name} == {BEST, model}:
            lines.append(f"- {first} and {name} are one model: its own block won the search.")
            continue
        shown, clear = difference(first, name)
        verdict = "a difference" if clear else "within noise: the two cannot be told apart on this test split"
        lines.append(f"- {first} over {name}: {shown}, {verdict}.")
    if own_block_won:
        return [*lines, f"- Tuning gained nothing: no trial beat {model}'s own block on validation."]
    shown, clear = difference(BEST, model)
    lines.append(
        f"- Tuning changed {model} by {shown} on test ({'a difference' if clear else 'within noise'}) and by "
        f"{validation[BEST]['roc_auc'] - validation[model]['roc_auc']:+.4f} on validation, by which it was chosen."
    )
    return lines


def _with_interval(scores: dict[str, float]) -> str:
    return f"{scores['roc_auc']:.4f} [{scores['roc_auc_low']:.4f}, {scores['roc_auc_high']:.4f}]"


def report(table: str, conclusion: list[str], ranking: list[str], tuned: dict, eda: dict) -> str:
    cells = files.read_csv("metrics/trials.csv")
    trial_table = [_row(cells[0]), _row(["---"] * len(cells[0])), *map(_row, cells[1:])]
    faults = "\n".join(f"- {name.replace('_', ' ')}: {count}" for name, count in eda["exact_duplicates"].items())
    values = ", ".join(
        f"{knob} {value:.4g}" if isinstance(value, float) else f"{knob} {value}"
        for knob, value in tuned["values"].items()
    )
    grids = "\n".join(
        f"- {name}: [by class](classification/{name}.md), [predictions](../plots/predictions/{name}.png)"
        for name in ranking
    )
    return f"""# Report

Macro one-versus-rest ROC-AUC; intervals are 95 % stratified bootstrap over the test images. They hold for one training
run a model: how much another seed would change is not in them. Differences are not corrected for their number.

## Conclusion

{chr(10).join(conclusion)}

## Ranking

{table}
![ranking](../plots/ranking.png)

## Tuning

The search took {tuned["trials"]} trials, {tuned["epochs"]} epochs in all. Trial {tuned["trial"]} of {tuned["model"]}
won: {values}.

{chr(10).join(trial_table)}

![history](../plots/tune/history.png) ![importance](../plots/tune/importance.png)

## Data

{eda["train"]["images_shape"][0]} training and {eda["test"]["images_shape"][0]} test images in {len(eda["classes"])}
classes. Exact duplicates found; `prepare` drops those in training:

{faults}

## Each model

{grids}
"""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def macro_roc_curves(ranking: list[str], predictions: dict) -> list[tuple]:
    """Model, false positive rate, mean true positive rate over the classes at that rate."""
    rows = []
    for name in ranking:
        labels, probabilities = predictions[name]["labels"], predictions[name]["probabilities"]
        curves = []
        for label, scores in enumerate(probabilities.T):
            fpr, tpr, _ = roc_curve(labels == label, scores)
            curves.append(np.interp(GRID, fpr, tpr))
        rows += [(name, f"{x:.2f}", f"{y:.6f}") for x, y in zip(GRID, np.mean(curves, axis=0), strict=True)]
    return rows


def ranking_figure(ranking: list[str], test: Scores) -> plt.Figure:
    figure, axis = plt.subplots(figsize=(8, 0.45 * len(ranking) + 1))
    for place, name in enumerate(reversed(ranking)):
        of = test[name]
        colour = "tab:orange" if name == BEST else "tab:blue"
        axis.plot([of["roc_auc_low"], of["roc_auc_high"]], [place, place], color=colour, linewidth=3)
        axis.plot(of["roc_auc"], place, "o", color=colour, markersize=8)
        axis.annotate(f"{of['roc_auc']:.4f}", (of["roc_auc"], place), (0, 7), textcoords="offset points", ha="center")
    axis.set_yticks(range(len(ranking)), list(reversed(ranking)))
    axis.set(
        xlabel="test ROC-AUC (macro one-versus-rest) with 95 % bootstrap interval", ylim=(-0.6, len(ranking) - 0.3)
    )
    axis.grid(axis="x", alpha=0.3)
    return figure


if __name__ == "__main__":
    errors.run(main)
