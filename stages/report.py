"""report: what a reviewer reads, once every choice is made; nothing reads what it writes.

Reads metrics, all of them tracked by git, and the params `prepare`, `models`, `tune` and `report`; writes
reports/report.md, reports/ranking.md (its conclusion and first table), reports/classification/*.md, figures of all
models to plots (ranking, learning_curves, roc and calibration .png) and, with a column that names the model,
plots/roc.csv and plots/learning_curves.csv.
"""

from study.base import checkpoints, files, runtime
from study.drawing import figures
from study.eda.record import Eda
from study.params.load import load
from study.report import comparisons, run
from study.report.pages import report


def main() -> None:
    params = load("prepare", "models", "tune", "report")
    eda = files.read_json("metrics/eda.json", Eda)
    comparison = comparisons.compare(params.models, eda["classes"], params.report.smallest_change)
    run.check(run.working_folder(), comparison.ranking)
    written = report(comparison, eda, files.read_csv("metrics/trials.csv"), params)
    for path, table in written.tables.items():
        files.write_csv(path, *table)
    for path, figure in written.figures.items():
        figures.save(figure, path)
    for path, text in written.pages.items():
        files.write_text(path, text)
    checkpoints.clear()  # DVC has recorded all that they were kept for
    print(written.pages["reports/ranking.md"])


if __name__ == "__main__":
    runtime.run(main)
