"""The last step of a search: its finalists against the own blocks of their models, trained from fresh seeds.

The best of many trials owes a part of its score to luck, so it may be worse than the block that it was to improve
(Schneider, Bischl and Feurer, Overtuning in hyperparameter optimization, 2025, arXiv:2506.19540). A finalist wins only
if its gain is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from study.data import arrays
from study.data.arrays import Prepared
from study.display.progress import Estimate
from study.models.common import scripts
from study.models.common.schema import Block
from study.params.schema import Tune
from study.scoring.predict import predict
from study.scoring.scores import DECIMALS, point
from study.search import gains
from study.search.gains import Fresh, Gain
from study.search.outcome import winner
from study.search.outcome.winner import Confirmation
from study.training import run
from study.training.run import DivergedError, Run
from study.training.task import Workers, outcomes

FRESH = 1000  # a repeat that no block has: blocks have 100 at most


@dataclass(frozen=True)
class Finalist:
    """A block that may win: of a trial with its score in the search, or a model's own, without a trial."""

    model: str
    trial: int | None
    values: dict  # of the params that were searched
    score: float
    block: Block
    control: Block  # the model's own, for as many epochs

    @property
    def name(self) -> str:
        return f"own block of {self.model}" if self.trial is None else f"trial {self.trial} of {self.model}"

    @property
    def checkpoint(self) -> str:
        return winner.checkpoint(self.model, self.trial, self.block.epochs)

    @property
    def own(self) -> "Finalist":
        return Finalist(self.model, None, {}, self.score, self.control, self.control)


@dataclass
class FreshRuns:
    """What the fresh runs of all finalists and their controls came to, by the names of their checkpoints."""

    blocks: dict[str, Fresh] = field(default_factory=dict)  # without those of which a run diverged
    epochs: int = 0
    kinds: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Choice:
    """What a search ends with."""

    winner: Finalist
    roc_auc: float  # by which it won
    record: Confirmation
    kinds: set[str] = field(default_factory=set)
    fresh: Fresh | None = None  # the runs of the winner
    optimism: float = 0.0  # what choosing it adds to its area, on average


def fresh_seed(seed: int) -> int:
    """The first seed of fresh runs: one that neither the trials nor the repeats of a block have."""
    return run.seed_of(seed, FRESH)


def choose(finalists: Sequence[Finalist], tune: Tune, seed: int, trials: int, workers: Workers | None = None) -> Choice:
    """Confirm the best of so many trials from the fresh seed, or take the very best as it is."""
    return confirmed(finalists, seed, trials, workers) if tune.finalists else unconfirmed(finalists)


def unconfirmed(finalists: Sequence[Finalist]) -> Choice:
    """The best trial wins by its score in the search."""
    return Choice(finalists[0], finalists[0].score, {"state": "off", "epochs": 0, "finalists": {}})


def confirmed(finalists: Sequence[Finalist], seed: int, trials: int, workers: Workers | None = None) -> Choice:
    """Train finalists and controls from fresh seeds; of the own blocks and the finalists shown, the best mean wins.

    `trials` counts those that the finalists, in the order of their scores, are the best of. Raises DivergedError if a
    control diverges.
    """
    owns, others = [each.own for each in finalists], [each for each in finalists if each.block != each.control]
    prepared = arrays.read_prepared()
    fresh = train([*owns, *others], seed, prepared, workers)
    gained = _gains(others, fresh, prepared.validation.labels, trials)
    shown = [each for each in others if each.checkpoint in gained and gained[each.checkpoint].is_shown]
    best = max([*owns, *shown], key=lambda each: fresh.blocks[each.checkpoint].roc_auc)
    runs, optimism = fresh.blocks[best.checkpoint], 0.0 if best.trial is None else gained[best.checkpoint].optimism
    return Choice(best, runs.roc_auc, _record(others, gained, fresh, best), fresh.kinds, runs, optimism)


def train(entries: Sequence[Finalist], seed: int, prepared: Prepared, workers: Workers | None) -> FreshRuns:
    """Train each block as often as its `repeats` say; `best` finds these runs again."""
    unique = {each.checkpoint: each for each in entries}
    fresh, estimate = FreshRuns(), Estimate(sum(each.block.epochs * each.block.repeats for each in unique.values()))
    labels, images = prepared.validation.labels, prepared.validation.images
    for model in dict.fromkeys(each.model for each in entries):  # runs of one model may train side by side
        own = [each for each in unique.values() if each.model == model]
        runs = [(each, repeat) for each in own for repeat in _repeats(each, seed)]
        results = outcomes(scripts.architecture(model), prepared, [repeat for _, repeat in runs], workers)
        probabilities: dict[str, list[np.ndarray]] = {each.checkpoint: [] for each in own}
        for (each, repeat), (result, trained) in zip(runs, results, strict=True):
            fresh.epochs += len(result["history"])
            fresh.kinds.add(result["kind"])
            if result["diverged"] and each.trial is None:
                raise DivergedError(result["diverged"])
            shown = "its loss is not finite"
            if trained:
                probabilities[each.checkpoint].append(predict(trained, images))
                shown = f"validation ROC-AUC {point(labels, probabilities[each.checkpoint][-1])['roc_auc']:.4f}"
            print(f"{repeat.title}: {shown}; about {estimate.finish(repeat.epochs)} of confirm left", flush=True)
        for each in own:
            if len(probabilities[each.checkpoint]) == each.block.repeats:
                fresh.blocks[each.checkpoint] = gains.fresh(labels, probabilities[each.checkpoint])
    return fresh


def _repeats(entry: Finalist, seed: int) -> list[Run]:
    where = "params.yaml: " + (f"models.{entry.model}" if entry.trial is None else f"{entry.name} in tune")
    return run.repeats(f"fresh {entry.name}", entry.model, entry.block, seed, where, entry.checkpoint)


def _gains(others: Sequence[Finalist], fresh: FreshRuns, labels: np.ndarray, trials: int) -> dict[str, Gain]:
    """The gain of each finalist that did not diverge, by its checkpoint."""
    ended = [each for each in others if each.checkpoint in fresh.blocks]
    pairs = {each.checkpoint: each.own.checkpoint for each in ended}
    return dict(zip(pairs, gains.gains(labels, fresh.blocks, pairs.items(), trials), strict=True))


def _record(others: Sequence[Finalist], gained: Mapping[str, Gain], fresh: FreshRuns, best: Finalist) -> Confirmation:
    rows = {}
    for each in others:
        runs, gain = fresh.blocks.get(each.checkpoint), gained.get(each.checkpoint)
        own = fresh.blocks[each.own.checkpoint].roc_auc
        row = {"model": each.model, "trial": each.trial, "roc_auc": runs and runs.roc_auc, "control_roc_auc": own}
        row |= asdict(gain) if gain else dict.fromkeys(Gain.__dataclass_fields__)
        rows[each.name] = {key: round(x, DECIMALS) if isinstance(x, float) else x for key, x in row.items()}
    state = "confirmed" if best.trial is not None else "not shown"
    return {"state": state, "epochs": fresh.epochs, "finalists": rows}
