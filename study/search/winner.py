"""The record of a search that `best` and `report` read: metrics/tune.json."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from study import files
from study.params.schema import Model

FILE = "metrics/tune.json"


class Winner(TypedDict):
    """The best trial by its validation ROC-AUC, and its whole block."""

    model: str
    trials: int
    epochs: int
    trial: int
    validation_roc_auc: float
    values: dict[str, Any]
    block: Model


class Record(TypedDict):
    """The file. The winner stands in a list, since `dvc metrics show` has a column for each number outside of one."""

    roc_auc: float
    winner: Annotated[list[Winner], Field(min_length=1, max_length=1)]


def write(winner: dict[str, Any]) -> None:
    files.write_json(FILE, {"roc_auc": winner["validation_roc_auc"], "winner": [winner]})


def read() -> Winner:
    return files.read_json(FILE, Record)["winner"][0]
