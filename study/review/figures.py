"""Figures as PNG files whose bytes depend on nothing but what they show."""

import warnings
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
    """Write the figure without the software's name; boxes stand for characters that the font lacks."""
    with files.whole(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})


def image_grid(images: np.ndarray, titles: list[str], colours: list[str], columns: int, heading: str) -> Figure:
    """Images (N, H, W, 3) uint8 in rows of `columns`, each under its title of one or two lines in its colour.

    All stand in one axes, one unit wide, since axes of their own would take five times as long to draw.
    """
    rows, above = -(-len(images) // columns), 0.42
    height = images.shape[1] / images.shape[2] + above
    width_inches = 1.45 * columns
    figure, axis = subplots(figsize=(width_inches, width_inches * (rows * height + 0.3) / (1.1 * columns)))
    for number, (image, title, colour) in enumerate(zip(images, titles, colours, strict=True)):
        left, top = 1.1 * (number % columns), (number // columns) * height + above
        axis.imshow(image, extent=(left, left + 1, (number // columns + 1) * height, top), interpolation="nearest")
        axis.text(left + 0.5, top - 0.04, title, fontsize=8, color=colour, ha="center", va="bottom")
    axis.set(xlim=(-0.1, 1.1 * columns), ylim=(rows * height + 0.1, -0.2), title=heading)
    axis.axis("off")
    return figure


def first_of_each_class(split: Split, classes: int, count: int) -> np.ndarray:
    """Rows of `count` images that take the classes in turn, the first images of each."""
    members = [iter(np.flatnonzero(split.labels == label)) for label in range(classes)]
    rows = (next(members[turn % classes], None) for turn in range(count))
    return np.array([row for row in rows if row is not None])
