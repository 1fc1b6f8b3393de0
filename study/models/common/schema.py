"""What the params of every model hold. Imports no Keras, so that params.yaml is checked at once."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=10)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]


class Section(BaseModel):
    """A part of params.yaml: known keys only, of the right types, never changed after it was read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Augmentation(Section):
    flip: bool
    shift_pixels: Annotated[int, Field(ge=0, le=64)]


class Cosine(Section):
    name: Literal["cosine"]
    warmup_fraction: Fraction


class Plateau(Section):
    name: Literal["plateau"]
    patience: Count
    factor: Annotated[float, Field(gt=0, lt=1)]
    minimum_learning_rate: Rate


class Block(Section):
    """The params of one model; each family adds its own."""

    SIZES: ClassVar[tuple[str, ...]]  # the params that decide how much memory a training run takes

    family: str
    repeats: Annotated[int, Field(ge=1, le=100)]
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "rmsprop", "sgd"]
    learning_rate: Rate
    schedule: Annotated[Cosine | Plateau, Field(discriminator="name")]
    early_stopping_patience: Count | None
    weight_decay: Fraction
    label_smoothing: Fraction
    class_weight: Literal["balanced"] | None = None
    augmentation: Augmentation
    mirror_average: bool
    precision: Literal["float32", "mixed_bfloat16"]
    batch_norm_momentum: Fraction
    dropout: Fraction

    @model_validator(mode="after")
    def _minimum_rate_is_not_above_the_rate(self) -> "Block":
        if self.schedule.name == "plateau" and self.schedule.minimum_learning_rate > self.learning_rate:
            raise ValueError(
                f"schedule.minimum_learning_rate is {self.schedule.minimum_learning_rate}; allowed: at most "
                f"learning_rate, {self.learning_rate}"
            )
        return self

    def changed(self, changes: dict[str, Any]) -> Self:
        """A checked copy with some params changed. Raises pydantic's ValidationError."""
        return type(self).model_validate(self.model_dump() | changes)

    @property
    def is_pretrained(self) -> bool:
        """Whether a part of the network starts from given weights: then its `head` is trained first."""
        return False
