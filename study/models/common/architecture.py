"""What a training script says of its model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from study.base.runtime import UserError
from study.models.common.schema import Block

Network = Callable[[Any, tuple[int, int, int], int], keras.Model]


class BlockError(UserError):
    """A fault of a block, or of one param of it, that is raised where nobody knows the block's name."""

    def __init__(self, fault: str, param: str | None = None):
        super().__init__(f"{param} {fault}" if param else fault)
        self.param = param

    def of(self, block: str) -> str:
        """The message on the block of this name."""
        return f"{block}.{self}" if self.param else f"{block}: {self}"


@dataclass(frozen=True)
class Architecture:
    """A network of one family.

    `network(block, image_shape, classes)` gives an untrained, uncompiled model from images (N, *image_shape) uint8 to
    class probabilities (N, classes) float32.
    """

    family: type[Block]
    network: Network

    def build(self, block: Block, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
        """The untrained network. Raises BlockError if the block does not fit."""
        if not isinstance(block, self.family):
            family = self.family.__name__.lower()
            raise BlockError(f"is {block.family}, but its script builds a {family}; make them agree", "family")
        return self.network(block, image_shape, classes)
