"""report: what a reviewer reads, once every choice is made; nothing reads what it writes.

Reads metrics, all of them tracked by git, and the param `models`; writes reports/report.md, reports/ranking.md,
reports/classification/*.md, plots/ranking.png and, with a column that names the model, plots/roc.csv and
plots/learning_curves.csv. Prints, and writes nowhere, what changed since HEAD.
"""

from study import checkpoints, files, runtime
from study.data.summary import Eda
from study.params.load import load
from study.review import comparisons, figures, ranking_figure, verdicts, words
from study.review.comparisons import Epoch


def main() -> None:
    params = load("models")
    eda = files.read_json("metrics/eda.json", Eda)
    comparison = comparisons.compare(params.models, eda["classes"])
    trials = files.read_csv("metrics/trials.csv")
    for model in comparison.ranking:
        classes = comparisons.class_scores(model, eda["classes"])
        text = words.render("classification", name=model.name, classes=classes)
        files.write_text(f"reports/classification/{model.name}.md", text)
    curves = (
        (model.name, f"{fpr:.2f}", f"{tpr:.6f}")
        for model in comparison.ranking
        for fpr, tpr in comparisons.roc_curve(model)
    )
    files.write_csv("plots/roc.csv", ["model", "fpr", "tpr"], curves)
    epochs = ((model.name, *row.values()) for model in comparison.ranking for row in model.validation["history"])
    files.write_csv("plots/learning_curves.csv", ["model", *Epoch.__annotations__], epochs)
    figures.save(ranking_figure.ranking(comparison.ranking), "plots/ranking.png")
    table = words.render("ranking", comparison=comparison)
    files.write_text("reports/ranking.md", table)
    files.write_text("reports/report.md", words.render("report", comparison=comparison, trials=trials, eda=eda))
    checkpoints.clear()  # DVC has recorded all that they were kept for
    print(table)
    print(verdicts.against_head(), end="")


if __name__ == "__main__":
    runtime.run(main)
