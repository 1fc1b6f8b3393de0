"""tune: search better params for the models that are best on validation, and confirm the best trials from fresh seeds.

Reads data/prepared.npz, metrics/validation/*.json and the params `seed`, `threads`, `models` and `tune`; writes
metrics/tune.json (the winner and its whole block) and metrics/trials.csv, of several searches the trials of the first.
Keeps all trials in checkpoints/optuna.journal, which optuna-dashboard shows.
"""

from study.base import checkpoints, files, runtime
from study.params.load import load
from study.search import journal, repeats, trials
from study.search.outcome import winner
from study.training import executor


def main() -> None:
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    with checkpoints.only_one("tune", "searches in this folder"), executor.connected() as workers:
        storage = journal.begin()
        searches = [repeats.search(params, number, storage, workers) for number in range(params.tune.searches)]
    record = repeats.record(searches)
    files.write_json(winner.FILE, record)
    trials.write_table(searches[0].studies, "metrics/trials.csv")
    shown = record["values"] or "own block"
    print(f"{record['model']}: {shown}, validation ROC-AUC {record['validation_roc_auc']:.4f}")


if __name__ == "__main__":
    runtime.run(main)
