"""The params of a convolutional network."""

from typing import Annotated, Literal

from pydantic import Field

from study.models.schema import Block


class Cnn(Block):
    family: Literal["cnn"]
    convolutions_per_block: Annotated[int, Field(ge=1, le=8)]
    further_blocks: Annotated[int, Field(ge=0, le=4)]
    width_multiplier: Annotated[int, Field(ge=1, le=8)]
