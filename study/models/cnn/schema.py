"""The params of a convolutional network."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.models.common.schema import Block


class Cnn(Block):
    SIZES: ClassVar = ("batch_size", "width_multiplier", "convolutions_per_block")

    family: Literal["cnn"]
    convolutions_per_block: Annotated[int, Field(ge=1, le=8)]
    further_blocks: Annotated[int, Field(ge=0, le=4)]
    width_multiplier: Annotated[int, Field(ge=1, le=8)]
