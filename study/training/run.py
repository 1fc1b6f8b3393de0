"""A training run: what its weights depend on, and what messages call it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.base import files, inputs
from study.base.runtime import UserError
from study.data import arrays
from study.models.common.schema import Block
from study.training.checkpoint import Checkpoint, Row


@dataclass(frozen=True)
class Run:
    """All that the weights of a training run depend on besides the code, its names, and what is wanted of it."""

    name: str  # of its checkpoint
    title: str  # in what is printed
    block_name: str  # in messages, in front of a param's: `params.yaml: models.cnn2`
    script: str  # stages/train/SCRIPT.py holds the architecture
    block: Block
    epochs: int
    seed: int
    data: str  # SHA-256 of data/prepared.npz
    weights: str | None  # SHA-256 of the file of weights that the block names, if it is there
    keeps_weights: bool  # whether the trained model is wanted, and not its score


class DivergedError(UserError):
    """The loss of a training run is not finite. `history` has the rows of its epochs, none if its head diverged."""

    def __init__(self, message: str, history: Sequence[Row] = ()):
        super().__init__(message)
        self.history = list(history)


def repeats(
    name: str, script: str, block: Block, seed: int, block_name: str, checkpoint: str | None = None
) -> list[Run]:
    """The runs of a block from different seeds, the first of them from `seed`; `checkpoint` is NAME, unless given."""
    checkpoint = checkpoint or name
    data, weights = arrays.prepared_digest(), weights_digest(block)
    return [
        Run(
            name=f"{checkpoint}-repeat-{repeat}" if repeat else checkpoint,
            title=f"repeat {repeat} of {name}" if repeat else name,
            block_name=block_name,
            script=script,
            block=block,
            epochs=block.epochs,
            seed=seed_of(seed, repeat),
            data=data,
            weights=weights,
            keeps_weights=True,
        )
        for repeat in range(block.repeats)
    ]


def checkpoint_of(run: Run) -> Checkpoint:
    made_from = {"block": run.block.model_dump(exclude={"repeats"}), "seed": run.seed, "epochs": run.epochs}
    return Checkpoint(run.name, run.script, **made_from, data=run.data, weights=run.weights)


def weights_digest(block: Block) -> str | None:
    """SHA-256 of the file of weights that a block names; None, if it names none that is there."""
    is_file = block.is_pretrained and Path(block.weights).is_file()
    return _sha256(block.weights, inputs.stamp(block.weights)) if is_file else None


@functools.cache
def _sha256(path: str, stamp: inputs.Stamp) -> str:
    """Once per content of the file: a search asks for each trial."""
    return files.sha256(path)


def seed_of(seed: int, repeat: int) -> int:
    """The seed of a repeat: `seed` itself of repeat 0, else a number below 2**31 that depends on both."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0] >> 1) if repeat else seed
