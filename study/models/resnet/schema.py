"""The params of a ResNet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.models.common.schema import Block, Count, Rate, Section

# No character that is more than itself in Markdown, HTML or a cell of a spreadsheet: tables show the searched params.
PATH = r"^[\w./~][\w./~ (),+\-]*$"


class Head(Section):
    """The training of the last layer on a frozen backbone with given weights."""

    epochs: Count
    learning_rate: Rate


class Resnet(Block):
    SIZES: ClassVar = ("batch_size", "image_size")

    family: Literal["resnet"]
    weights: Annotated[str, Field(pattern=PATH)] | None
    image_size: Annotated[int, Field(ge=32, le=1024)]
    pooling: Literal["avg", "max"]
    head: Head

    @property
    def is_pretrained(self) -> bool:
        return self.weights is not None
