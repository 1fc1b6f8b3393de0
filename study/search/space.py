"""The values that a search may take for the params of a block."""

import itertools
import math
from collections.abc import Collection, Sequence

import optuna

from study.models.common.schema import Block
from study.params.schema import Choices, Range, Space


def options(values: Range | Choices) -> Sequence:
    """What a param may be, each value once; nothing if there is no end of values."""
    if isinstance(values, list):
        return list(dict.fromkeys(values))
    return range(values.low, values.high + 1) if values.is_whole else ()


def size(space: Space) -> float:
    """How many settings the space has: an infinity, or a whole number."""
    return math.prod(len(options(values)) or math.inf for values in space.values())


def grid(space: Space) -> list[dict]:
    """Every setting of a space of lists."""
    return [dict(zip(space, each, strict=True)) for each in itertools.product(*map(options, space.values()))]


def untried(setting: dict, space: Space, tried: Collection[dict]) -> dict:
    """The setting with the fewest other values that is not among those `tried`; itself if there is none."""
    for count in range(len(space) + 1):
        for keys in itertools.combinations(space, count):
            for values in itertools.product(*(options(space[key]) for key in keys)):
                other = setting | dict(zip(keys, values, strict=True))
                if other not in tried:
                    return other
    return setting


def suggested(trial: optuna.Trial, space: Space) -> dict:
    """A value for each param of the space, chosen by the trial's sampler."""
    setting = {}
    for key, values in space.items():
        if isinstance(values, list):
            setting[key] = trial.suggest_categorical(key, values)
        else:
            suggest = trial.suggest_int if values.is_whole else trial.suggest_float
            setting[key] = suggest(key, values.low, values.high, log=values.log)
    return setting


def nearest(block: Block, space: Space) -> dict:
    """The block's own value for each param or, if the space lacks it, the end of a range or the first of a list."""
    setting = {}
    for key, values in space.items():
        own = getattr(block, key)
        if isinstance(values, list):
            setting[key] = own if own in values else values[0]
        else:
            setting[key] = min(max(own, values.low), values.high)
    return setting
