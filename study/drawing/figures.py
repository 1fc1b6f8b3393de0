"""Figures as PNG files whose bytes depend on nothing but what they show."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import cycler, font_manager
from matplotlib.figure import Figure

from study.base import files
from study.data.arrays import Split

DOTS_PER_INCH = 160
# Figures have no background of their own. These colours stand out from white and from GitHub's dark page.
INK = "#808080"  # text and axes
COLOURS = (
    *("#3b8fd6", "#dc7820", "#2fa35b", "#d9534f", "#9673c9", "#b0803f", "#d76fae", "#8a9a2b"),
    *("#1f9fb0", "#4242fc", "#d800fc", "#4e6660", "#b40c90", "#901ede", "#007800", "#964e00"),
)
RIGHT, WRONG = COLOURS[2], COLOURS[3]
LINES = cycler(linestyle=("-", "--", "-.")) * cycler(color=COLOURS)  # of more curves than there are colours
INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
STYLE = {
    **dict.fromkeys(INKED, INK),
    "legend.framealpha": 0.0,
    "grid.alpha": 0.3,
    "axes.prop_cycle": cycler(color=COLOURS),
    "text.parse_math": False,  # a class may be called $
}
FONT = "DejaVu Sans"  # matplotlib's own, which it has on every system
LONGEST = 14  # characters of a class name that fit above an image of a grid


def subplots(rows: int = 1, columns: int = 1, **options) -> tuple[Figure, np.ndarray]:
    """A figure and its axes in the project's style, whatever a matplotlibrc says. `options` as in pyplot."""
    use_style()
    arrangement = {key: options.pop(key) for key in ("sharex", "sharey", "squeeze") if key in options}
    figure = Figure(**options)
    return figure, figure.subplots(rows, columns, **arrangement)


def use_style() -> None:
    """Matplotlib's own defaults and STYLE."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure without a background and the software's name."""
    with files.whole(path) as partial:
        options = {"format": "png", "dpi": DOTS_PER_INCH, "bbox_inches": "tight", "transparent": True}
        figure.savefig(partial, **options, metadata={"Software": None})


def class_labels(class_names: list[str], longest: int = LONGEST) -> list[str]:
    """The names as figures show them: without their middle if too long, `class 3` if the font lacks a character."""
    characters, half = _characters(), longest // 2
    names = [name if characters.issuperset(name) else f"class {label}" for label, name in enumerate(class_names)]
    return [name if len(name) <= longest else f"{name[:half]}…{name[1 - half :]}" for name in names]


@cache
def _characters() -> set[str]:
    """What the font can show."""
    return set(map(chr, font_manager.get_font(font_manager.findfont(FONT)).get_charmap()))


def image_grid(images: np.ndarray, titles: list[str], colours: list[str], least_columns: int, heading: str) -> Figure:
    """Images (N, H, W, 3) uint8, each under its title of one or two lines in its colour, in rows of `least_columns`, or
    of more, if the grid would be higher than wide.

    All stand in one axes, one unit wide, since axes of their own would take five times as long to draw.
    """
    columns = min(len(images), max(least_columns, round(len(images) ** 0.5)))
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
