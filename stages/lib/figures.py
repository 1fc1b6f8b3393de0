"""Figures as PNG files whose bytes depend on nothing but what they show."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

from stages.lib import files
from stages.lib.dataset import Split

DOTS_PER_INCH = 80
plt.rcParams["text.parse_math"] = False  # a class may be called $
RIGHT, WRONG = "tab:green", "tab:red"


def save(figure: plt.Figure, path: str | Path) -> None:
    """Write the figure without the software's name, and close it."""
    with files.whole(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def image_grid(images: np.ndarray, titles: list[str], colours: list[str], columns: int, heading: str) -> plt.Figure:
    """Images (N, H, W, 3) uint8 in rows of `columns`, each under its title in its colour."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.45 * columns, 1.6 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title, colour in zip(axes.flat, images, titles, colours, strict=False):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=8, color=colour)
    figure.suptitle(heading)
    figure.tight_layout()
    return figure


def first_of_each_class(split: Split, classes: int, count: int) -> np.ndarray:
    """Rows of `count` images that take the classes in turn, the first images of each."""
    members = [iter(np.flatnonzero(split.labels == label)) for label in range(classes)]
    rows = (next(members[turn % classes], None) for turn in range(count))
    return np.array([row for row in rows if row is not None])
