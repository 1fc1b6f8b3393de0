"""The record of a search that `best` and `report` read."""

from typing import Any

from typing_extensions import TypedDict

from study.params.schema import Model

FILE = "metrics/tune.json"


class Winner(TypedDict):
    """metrics/tune.json: the best trial, by its validation ROC-AUC, and its whole block."""

    model: str
    trials: int
    epochs: int
    trial: int
    validation_roc_auc: float
    values: dict[str, Any]
    block: Model
