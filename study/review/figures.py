"""Figures as PNG files whose bytes depend on nothing but what they show."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study import files
from study.data.arrays import Split

DOTS_PER_INCH = 80
RIGHT, WRONG = "tab:green", "tab:red"


def subplots(rows: int = 1, columns: int = 1, **options) -> tuple[Figure, np.ndarray]:
    """A figure and its axes under matplotlib's own defaults, whatever a matplotlibrc says. `options` as in pyplot."""
    matplotlib.rcdefaults()
    matplotlib.rcParams["text.parse_math"] = False  # a class may be called $
    arrangement = {key: options.pop(key) for key in ("sharex", "sharey", "squeeze") if key in options}
    figure = Figure(**options)
    return figure, figure.subplots(rows, columns, **arrangement)


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure without the software's name."""
    with files.whole(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})


def image_grid(images: np.ndarray, titles: list[str], colours: list[str], columns: int, heading: str) -> Figure:
    """Images (N, H, W, 3) uint8 in rows of `columns`, each under its title in its colour."""
    rows = -(-len(images) // columns)
    figure, axes = subplots(rows, columns, figsize=(1.45 * columns, 1.6 * rows), squeeze=False)
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
