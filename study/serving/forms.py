"""Predictions as text, JSON and CSV, printed as they come."""

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from study.base.runtime import one_line


@dataclass(frozen=True)
class Prediction:
    """The most likely classes of an image with their probabilities, from high to low."""

    image: str
    classes: list[tuple[str, float]]


def text(predictions: Iterable[Prediction]) -> None:
    for prediction in predictions:
        classes = ", ".join(f"{name} {probability:.4f}" for name, probability in prediction.classes)
        print(f"{shown(prediction.image)}: {classes}", flush=True)


def as_json(predictions: Iterable[Prediction]) -> None:
    """A list, one image per line."""
    start = "["
    for prediction in predictions:
        classes = [{"class": name, "probability": round(value, 6)} for name, value in prediction.classes]
        entry = json.dumps({"image": prediction.image, "predictions": classes})
        print(f"{start}\n{entry}", end="", flush=True)
        start = ","
    print("\n]" if start == "," else "[]")


def as_csv(predictions: Iterable[Prediction]) -> None:
    """A line per image and class."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "class", "probability"])
    for prediction in predictions:
        for rank, (name, probability) in enumerate(prediction.classes, start=1):
            writer.writerow([shown(prediction.image), rank, name, f"{probability:.6f}"])


def shown(image: str) -> str:
    """The name of a file for terminals and spreadsheets, which would run one that begins with `=`."""
    return one_line(f"./{image}" if image[:1] in "=+-@" and image != "-" else image)


FORMS = {"text": text, "json": as_json, "csv": as_csv}
