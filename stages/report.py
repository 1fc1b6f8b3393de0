"""report: what a reviewer reads, once every choice is made; nothing reads what it writes.

Reads metrics, all of them tracked by git, and the params `models`, `prepare` and `tune`; writes reports/report.md,
reports/ranking.md, reports/classification/*.md, figures of all models to plots (ranking, learning_curves, roc and
calibration .png) and, with a column that names the model, plots/roc.csv and plots/learning_curves.csv. Prints, and
writes nowhere, what changed since HEAD.
"""

from study import checkpoints, files, runtime
from study.data.summary import Eda
from study.params.load import load
from study.review import comparisons, figures, verdicts
from study.review.report import report


def main() -> None:
    params = load("models", "prepare", "tune")
    eda = files.read_json("metrics/eda.json", Eda)
    comparison = comparisons.compare(params.models, eda["classes"])
    written = report(comparison, eda, files.read_csv("metrics/trials.csv"), params)
    for path, table in written.tables.items():
        files.write_csv(path, *table)
    for path, figure in written.figures.items():
        figures.save(figure, path)
    for path, text in written.pages.items():
        files.write_text(path, text)
    checkpoints.clear()  # DVC has recorded all that they were kept for
    print(written.pages["reports/ranking.md"])
    print(verdicts.against_head(), end="")


if __name__ == "__main__":
    runtime.run(main)
