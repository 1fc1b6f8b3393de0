"""The record of a search that `best` and `report` read: metrics/tune.json."""

from typing import Any

from typing_extensions import TypedDict

from study.base import files
from study.params.schema import Model

FILE = "metrics/tune.json"


class BestSoFar(TypedDict):
    """The best validation ROC-AUC in the last rung up to a trial, of all trials in order."""

    trial: int
    validation_roc_auc: float


class Winner(TypedDict):
    """The best trial by its validation ROC-AUC, and its whole block. DVC draws `best_so_far`.

    `epochs` counts the epochs of all runs of the search, `kinds_of_arithmetic` the kinds that they ran under: with
    more than one, such as two kinds of processors, equal runs have scores that differ a little. `control` is the block
    of `model` as it was, but for as many epochs as the winner's: its score shows what more epochs gain by themselves.
    """

    model: str
    trials: int
    epochs: int
    kinds_of_arithmetic: int
    trial: int
    validation_roc_auc: float
    values: dict[str, Any]
    block: Model
    control: Model
    best_so_far: list[BestSoFar]


def read() -> Winner:
    return files.read_json(FILE, Winner)
