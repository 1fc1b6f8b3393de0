"""metrics/eda.json, as far as other stages read it."""

from typing_extensions import TypedDict


class SplitSummary(TypedDict):
    images_shape: list[int]
    label_counts: dict[str, int]


class Fault(TypedDict):
    fault: str
    images: int


class Eda(TypedDict):
    classes: list[str]
    train: SplitSummary
    test: SplitSummary
    duplicates: list[Fault]
