"""What a training script says of its model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from study.models.schema import Block
from study.runtime import UserError

Network = Callable[[Any, tuple[int, int, int], int], keras.Model]


@dataclass(frozen=True)
class Architecture:
    """A network of one family.

    `network(block, image_shape, classes)` gives an untrained, uncompiled model from images (N, *image_shape) uint8 to
    class probabilities (N, classes) float32.
    """

    family: type[Block]
    network: Network

    def build(self, block: Block, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
        """The untrained network. Raises UserError where the block is of another family."""
        if not isinstance(block, self.family):
            family = self.family.__name__.lower()
            raise UserError(
                f"params.yaml: a script of family {family} has a block of family {block.family}; make them agree"
            )
        return self.network(block, image_shape, classes)
