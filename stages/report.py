"""report: what a reviewer reads, once every choice is made; nothing reads what it writes.

Reads metrics, all of them tracked by git, and the param `models`; writes reports/report.md, reports/ranking.md,
reports/classification/*.md, plots/roc.csv (one curve per model) and plots/ranking.png.
"""

from study import files, runtime
from study.data.summary import Eda
from study.params.load import load
from study.review import comparisons, figures, ranking_figure, words


def main() -> None:
    params = load("models")
    eda = files.read_json("metrics/eda.json", Eda)
    comparison = comparisons.compare(params.models, len(eda["classes"]))
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
    figures.save(ranking_figure.ranking(comparison.ranking), "plots/ranking.png")
    table = words.render("ranking", comparison=comparison)
    files.write_text("reports/ranking.md", table)
    files.write_text("reports/report.md", words.render("report", comparison=comparison, trials=trials, eda=eda))
    files.clear(files.CHECKPOINTS)  # DVC has recorded all that they were kept for
    print(table)


if __name__ == "__main__":
    runtime.run(main)
