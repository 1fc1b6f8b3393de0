"""Figures of a data set."""

import numpy as np
from matplotlib.figure import Figure

from study.cleaning.near_duplicates import Pairs
from study.data.arrays import Split
from study.drawing import figures

SAMPLES = 25
PAIRS = 15
LONGEST_OF_PAIR = 10  # characters of each class name above a pair of images
LONGEST_LABEL = 64  # characters beside a bar
RED_GREEN_BLUE = {"red": figures.COLOURS[3], "green": figures.COLOURS[2], "blue": figures.COLOURS[0]}


def label_counts(splits: dict[str, Split], class_names: list[str]) -> Figure:
    titles = {name: f"{name}: {len(split)} images" for name, split in splits.items()}
    return _bars({titles[name]: _counts(split, class_names) for name, split in splits.items()}, class_names, "{:,.0f}")


def label_shares(splits: dict[str, Split], class_names: list[str]) -> Figure:
    shares = {
        f"share of each class in {name}": 100 * _counts(split, class_names) / len(split)
        for name, split in splits.items()
    }
    return _bars(shares, class_names, "{:.1f} %")


def _counts(split: Split, class_names: list[str]) -> np.ndarray:
    return np.bincount(split.labels, minlength=len(class_names))


def _bars(values: dict[str, np.ndarray], class_names: list[str], number: str) -> Figure:
    """A chart per title, with a bar per class, the first on top; `number` formats what stands at its end."""
    figure, axes = figures.subplots(1, 2, figsize=(10, 0.19 * len(class_names) + 0.1), sharey=True)
    for axis, (title, widths) in zip(axes, values.items(), strict=True):
        bars = axis.barh(range(len(class_names)), widths, color=figures.COLOURS[0])
        axis.bar_label(bars, [number.format(width) for width in widths], padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set(xlim=(0, 1.15 * max(widths)), ylim=(len(class_names) - 0.4, -0.6))
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(class_names)), figures.class_labels(class_names, LONGEST_LABEL))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.05)  # `save` makes room for what stands around
    return figure


def samples(name: str, split: Split, class_names: list[str], seed: int) -> Figure:
    rows = np.random.default_rng(seed).permutation(len(split))[:SAMPLES]
    labels = figures.class_labels(class_names)
    titles = [labels[label] for label in split.labels[rows]]
    return figures.image_grid(split.images[rows], titles, [figures.INK] * len(rows), 5, f"{name}: a random sample")


def near_duplicates(splits: dict[str, Split], near: Pairs, class_names: list[str], seed: int) -> Figure | None:
    """A random sample of pairs, side by side, each under its splits and its labels; None if there are no pairs."""
    kinds = {("train", "train"): near.train, ("test", "test"): near.test, ("train", "test"): near.across}
    pairs = [(names, rows) for names, found in kinds.items() for rows in found]
    if not pairs:
        return None
    labels = figures.class_labels(class_names, LONGEST_OF_PAIR)
    images, titles, colours = [], [], []
    for index in np.random.default_rng(seed).permutation(len(pairs))[:PAIRS]:
        names, rows = pairs[index]
        images.append(np.hstack([splits[name].images[row] for name, row in zip(names, rows, strict=True)]))
        one, other = (splits[name].labels[row] for name, row in zip(names, rows, strict=True))
        titles.append(f"{' · '.join(names)}\n{labels[one] if one == other else f'{labels[one]} · {labels[other]}'}")
        colours.append(figures.INK if one == other else figures.WRONG)
    return figures.image_grid(np.array(images), titles, colours, 5, "near duplicates: a random sample of pairs")


def mean_images(train: Split, class_names: list[str]) -> Figure:
    means = [np.rint(train.images[train.labels == label].mean(axis=0)) for label in range(len(class_names))]
    images = np.array(means).astype(np.uint8)
    labels = figures.class_labels(class_names)
    return figures.image_grid(images, labels, [figures.INK] * len(images), 5, "mean training image of each class")


def pixel_histograms(shares: dict[str, np.ndarray]) -> Figure:
    figure, axes = figures.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    for axis, (name, by_colour) in zip(axes, shares.items(), strict=True):
        for share, (name_of_colour, colour) in zip(by_colour, RED_GREEN_BLUE.items(), strict=True):
            axis.plot(share, color=colour, label=name_of_colour)
        axis.set(title=name, xlabel="pixel value", ylabel="share of pixels")
    axes[0].legend()
    figure.tight_layout()
    return figure
