"""The values that a search may take for the params of a block."""

import optuna

from study.models.common.schema import Block
from study.params.schema import Choices, Range, Space


def suggested(trial: optuna.Trial, space: Space) -> dict:
    """A value for each param of the space, chosen by the trial's sampler."""
    return {key: suggest(trial, key, values) for key, values in space.items()}


def suggest(trial: optuna.Trial, key: str, values: Range | Choices):
    """A value for one param."""
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    kind = trial.suggest_int if isinstance(values.low, int) and isinstance(values.high, int) else trial.suggest_float
    return kind(key, values.low, values.high, log=values.log)


def nearest(block: Block, space: Space) -> dict:
    """The block's own value for each param of the space, or the next to it that the space has."""
    return {key: nearest_value(values, getattr(block, key)) for key, values in space.items()}


def nearest_value(values: Range | Choices, own):
    """The block's `own` value, or what the space has instead: the end of a range, the first of a list."""
    if isinstance(values, list):
        return own if own in values else values[0]
    return min(max(own, values.low), values.high)
