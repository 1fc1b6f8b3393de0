"""The params of a ResNet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.models.schema import Block, Count, Rate, Section


class Head(Section):
    """The training of the last layer on a frozen backbone with given weights."""

    epochs: Count
    learning_rate: Rate


class Resnet(Block):
    SIZES: ClassVar = ("batch_size", "image_size")

    family: Literal["resnet"]
    weights: str | None
    image_size: Annotated[int, Field(ge=32, le=1024)]
    pooling: Literal["avg", "max"]
    head: Head

    @property
    def is_pretrained(self) -> bool:
        return self.weights is not None
