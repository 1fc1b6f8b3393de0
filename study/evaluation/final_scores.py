"""The scores of a model on the test split: of the model that is kept, and of the block's repeats."""

from collections.abc import Sequence
from typing import Annotated, NotRequired

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from study.evaluation import seeds
from study.evaluation.seeds import Spread
from study.scoring import intervals, placements
from study.scoring.probabilities import normalised
from study.scoring.scores import DECIMALS, Amount, Repeat, Scores, Share, point, scores

# The one-versus-rest ROC-AUC of a class with its 95 % interval, if there is one: see `intervals.enough`.
ClassArea = TypedDict(
    "ClassArea", {"class": str, "roc_auc": Share, "low": NotRequired[Share], "high": NotRequired[Share]}
)


class FinalScores(Scores):
    """metrics/test/<model>.json. DVC shows what stands outside of the lists."""

    roc_auc_mean: Share  # over the repeats
    roc_auc_seed_sd: NotRequired[Amount]  # of two or more
    repeats: Annotated[list[Repeat], Field(min_length=1)]  # the model that is kept first
    spread: Annotated[list[Spread], Field(max_length=1)]  # none of one training
    class_roc_auc: Annotated[list[ClassArea], Field(min_length=2)]  # of the model that is kept, in class order


def final_scores(
    labels: np.ndarray, runs: Sequence[np.ndarray], seed_of_each: Sequence[int], class_names: Sequence[str]
) -> FinalScores:
    """From the probabilities (N, C) of each repeat, the model that is kept first, and their seeds."""
    points = [point(labels, probabilities) for probabilities in runs]
    rows: list[Repeat] = [
        {"seed": seed} | {name: round(value, DECIMALS) for name, value in scored.items()}
        for seed, scored in zip(seed_of_each, points, strict=True)
    ]
    areas = [scored["roc_auc"] for scored in points]
    record: FinalScores = scores(labels, runs[0]) | {"roc_auc_mean": round(float(np.mean(areas)), DECIMALS)}
    spread = seeds.spread(areas, shortfalls(labels, runs), labels) if len(areas) > 1 else None
    if spread:
        of_seeds = max(spread["raw_variance"] - spread["sampling_variance"], 0.0)
        record["roc_auc_seed_sd"] = round(of_seeds**0.5, DECIMALS)
    areas_of_classes = class_areas(labels, runs[0], class_names)
    return record | {"repeats": rows, "spread": [spread] if spread else [], "class_roc_auc": areas_of_classes}


def class_areas(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> list[ClassArea]:
    """The ROC-AUC of each class, against the images of all others, from probabilities (N, C)."""
    missed = placements.one_minus_placements(labels, normalised(probabilities))
    columns = placements.class_shortfalls(labels, missed).T
    rows: list[ClassArea] = []
    for label, (name, column) in enumerate(zip(class_names, columns, strict=True)):
        area = float(1 - missed[labels == label, label].mean())
        row: ClassArea = {"class": str(name), "roc_auc": round(area, DECIMALS)}
        if interval := intervals.of_roc_auc(area, column, labels, label):
            row |= dict(zip(("low", "high"), (round(bound, DECIMALS) for bound in interval), strict=True))
        rows.append(row)
    return rows


def shortfalls(labels: np.ndarray, runs: Sequence[np.ndarray]) -> np.ndarray:
    """What each image takes from the ROC-AUC of each repeat, (R, N)."""
    return np.array(
        [
            placements.shortfall(labels, placements.one_minus_placements(labels, normalised(probabilities)))
            for probabilities in runs
        ]
    )
