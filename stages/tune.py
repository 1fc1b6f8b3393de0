"""tune: search better params for the models that are best on validation, and confirm the best trials from fresh seeds.

Reads data/prepared.npz, metrics/validation/*.json and the params `seed`, `threads`, `models` and `tune`; writes
metrics/tune.json (the winner and its whole block), metrics/trials.csv and, to plots/tune, figures of the search, all of
the first search if there are several. Keeps them in checkpoints/optuna.journal, which optuna-dashboard shows.
"""

from study.base import checkpoints, files, runtime
from study.drawing import figures
from study.params.load import load
from study.search import journal, repeats, search_figures, trials
from study.search.outcome import winner
from study.training import executor


def main() -> None:
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    with checkpoints.only_one("tune", "searches in this folder"), executor.connected() as workers:
        storage = journal.begin()
        searches = [repeats.search(params, number, storage, workers) for number in range(params.tune.searches)]
    studies = searches[0].studies
    record = trials.outcome(studies, searches[0].choice, searches[0].fresh_seed)
    if len(searches) > 1:
        record |= repeats.record(searches)
    files.write_json(winner.FILE, record)
    trials.write_table(studies, "metrics/trials.csv")
    figures.save(search_figures.history(studies, record["confirm"]), "plots/tune/history.png")
    if record["trials"] >= winner.MANY:
        figures.save(search_figures.importance(studies[record["model"]], params.seed), "plots/tune/importance.png")
    shown = record["values"] or "own block"
    print(f"{record['model']}: {shown}, validation ROC-AUC {record['validation_roc_auc']:.4f}")


if __name__ == "__main__":
    runtime.run(main)
