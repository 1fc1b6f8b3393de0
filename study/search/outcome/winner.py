"""The record of a search that `best` and `report` read: metrics/tune.json."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from study.base import files
from study.params.schema import Model
from study.scoring.scores import Share

FILE = "metrics/tune.json"
Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class BestSoFar(TypedDict):
    """The best validation ROC-AUC in the last rung up to a trial, of all trials in order."""

    trial: int
    validation_roc_auc: float


class Finalist(TypedDict):
    """A finalist against its control, by the means of their fresh runs on validation; None if one of its runs diverged.

    The interval is of the difference less the optimism, which choosing it on the same images adds on average.
    """

    model: str
    trial: int
    roc_auc: float | None
    control_roc_auc: float
    difference: float | None
    optimism: float | None
    low: float | None
    high: float | None
    p: float | None


class Confirmation(TypedDict):
    """Whether a finalist is shown to be better than the own block of its model.

    Off, the best trial won by its score in the search. `finalists` has names such as `trial 3 of cnn2`, and none if the
    best trials are the own block. (A mapping, as `searches`: DVC's plots would merge a list with `best_so_far`.)
    """

    state: Literal["confirmed", "not shown", "off"]
    epochs: int
    finalists: dict[str, Finalist]


class Search(TypedDict):
    """One of several runs of the search, and its winner.

    `roc_auc` is the mean of the winner's fresh runs on validation, less the optimism of choosing it.
    """

    seed: int
    model: str
    trial: int | None
    roc_auc: Share
    values: dict[str, Any]


class Images(TypedDict):
    """By how much each validation image lowers the ROC-AUC, in the mean over the winners of all searches."""

    labels: list[Annotated[int, Field(ge=0)]]
    shortfalls: list[Annotated[float, Field(allow_inf_nan=False)]]


class Winner(TypedDict):
    """The winner of a search and its whole block: a trial with its values, or the own block of `model`, which has none.

    `validation_roc_auc` is what it won by: the mean of its fresh runs, or the score of its trial if there are none.
    `epochs` counts the epochs of all trials, `kinds_of_arithmetic` the kinds that all runs had: with more than one,
    such as two kinds of processors, equal runs have scores that differ a little. `control` is the block of `model` as
    it was, but for as many epochs as the winner's: its score shows what more epochs gain by themselves. `seed` is the
    first of the fresh seeds, from which `best` and `control` are trained. DVC draws `best_so_far`. The last three
    are there if the search was run several times; `sampling_variance` is what finitely many validation images add to
    the variance between the `roc_auc` of the searches.
    """

    model: str
    trials: int
    epochs: int
    kinds_of_arithmetic: int
    trial: int | None
    validation_roc_auc: float
    values: dict[str, Any]
    confirm: Confirmation
    seed: int
    block: Model
    control: Model
    best_so_far: list[BestSoFar]
    searches: NotRequired[dict[str, Search]]
    sampling_variance: NotRequired[Variance]
    images: NotRequired[Images]


def read() -> Winner:
    return files.read_json(FILE, Winner)


def checkpoint(model: str, trial: int | None, epochs: int) -> str:
    """The name under which a block's fresh runs are kept for `best`: of a trial, or the own of the model."""
    return f"confirm-{model}-{'own' if trial is None else trial}-{epochs}"
