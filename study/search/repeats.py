"""The whole search, run from several seeds: how much its outcome varies tells whether another search is better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.storages import BaseStorage

from study.data import arrays
from study.params.schema import Params
from study.scoring import intervals
from study.scoring.scores import DECIMALS
from study.search import confirm, rounds, trials
from study.search.confirm import Choice
from study.search.outcome.winner import Winner
from study.training.run import seed_of
from study.training.task import Workers

FIRST = 2000  # a repeat that neither blocks nor fresh runs have


@dataclass(frozen=True)
class Search:
    """One run of the search."""

    seed: int
    studies: Mapping[str, optuna.Study]
    choice: Choice


def search(params: Params, number: int, storage: BaseStorage, workers: Workers | None = None) -> Search:
    """The search of this number: trials of all candidates, then confirm. The first has the param `seed`."""
    tune, seed = params.tune, seed_of(params.seed, number and FIRST + number)
    if tune.searches > 1:
        print(f"search {number + 1} of {tune.searches}, seed {seed}", flush=True)
    studies = {}
    for model in trials.candidates(params.models, tune):
        name = f"{model}, search {number + 1}" if number else model
        studies[model] = rounds.search(model, params.models[model], tune, seed, storage, workers, name)
    finalists, count = trials.finalists(studies, params.models, tune), len(trials.trained(studies))
    return Search(seed, studies, confirm.choose(finalists, tune, confirm.fresh_seed(seed), count, workers))


def record(searches: Sequence[Search]) -> Winner:
    """metrics/tune.json: the outcome of the first search and, of several, what they came to."""
    first = searches[0]
    outcome = trials.outcome(first.studies, first.choice, confirm.fresh_seed(first.seed))
    if len(searches) == 1:
        return outcome
    labels = arrays.read_prepared().validation.labels
    shortfalls = np.array([each.choice.fresh.shortfalls.mean(axis=0) for each in searches])
    rows = {
        f"search {number}": {
            "seed": each.seed,
            "model": each.choice.winner.model,
            "trial": each.choice.winner.trial,
            "roc_auc": round(each.choice.roc_auc - each.choice.optimism, DECIMALS),
            "values": each.choice.winner.values,
        }
        for number, each in enumerate(searches, 1)
    }
    means = [float(f"{mean:.6g}") for mean in shortfalls.mean(axis=0)]
    images = {"labels": labels.tolist(), "shortfalls": means}
    variance = intervals.sampling_of_runs(shortfalls, labels)
    return outcome | {"searches": rows, "sampling_variance": variance, "images": images}
