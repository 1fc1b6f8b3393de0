"""One training, and the epochs of one of its phases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from study.base.runtime import UserError
from study.data.arrays import Prepared
from study.display.live import Progress
from study.models.common.schema import Block
from study.training import batches
from study.training.checkpoint import Checkpoint, Phase, Unkept


@dataclass(frozen=True)
class Run:
    """One training: all that its weights depend on, and where a killed one left off."""

    block: Block
    prepared: Prepared
    seed: int
    epochs: int
    checkpoint: Checkpoint | Unkept
    name: str  # of the block in messages, in front of a param's: `params.yaml: models.cnn2`


class DivergedError(UserError):
    """The loss of a training is not finite."""


def fit_epochs(
    model: keras.Model, batches_from: Callable[[int], Iterator[batches.Batch]], steps: int, epochs: int, phase: Phase
) -> None:
    """`model.fit` from where `phase` stands; `batches_from(epoch)` are the endless batches from that epoch on."""
    first = phase.next_epoch(epochs)
    model.fit(
        batches.stream(batches_from(first)),
        steps_per_epoch=steps,
        initial_epoch=first,
        epochs=epochs,
        callbacks=[*phase.callbacks, phase, Progress()],
        shuffle=False,  # the batches are in order
        verbose=0,
    )
