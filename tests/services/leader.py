"""leader.py: a search with the runs of trainings.py, on the workers that the environment names."""

import sys

import trainings

import stages  # noqa: F401  (its import prepares the process)
from study.base import files, runtime
from study.cluster import client
from study.params.load import load
from study.search import confirm, journal, rounds, trials

MODEL = "cnn2_dropout"
TUNE = {"trials": 12, "round_size": 6, "epochs": 4, "rungs": 2, "reduction_factor": 3}


def main(*changes: str) -> None:
    """`changes` are params of tune, as `trials=200`."""
    params = load("seed", "threads", "models", "tune")
    runtime.use_threads(params.threads)
    changed = {key: int(value) for key, value in (change.split("=") for change in changes)}
    tune = params.tune.model_copy(update=TUNE | changed)
    with client.connected() as executor:
        study = rounds.search(MODEL, params.models[MODEL], tune, params.seed, journal.begin(), executor)
    studies = {MODEL: study}
    trials.write_table(studies, "metrics/trials.csv")
    choice = confirm.unconfirmed(trials.finalists(studies, params.models, tune))
    files.write_json("metrics/tune.json", trials.outcome(studies, choice, params.seed))


if __name__ == "__main__":
    trainings.use()
    runtime.run(main, *sys.argv[1:])
