"""Figures of a data set."""

import numpy as np
from matplotlib.figure import Figure

from study.data.arrays import Split
from study.review import figures

SAMPLES = 25


def label_counts(splits: dict[str, Split], class_names: list[str]) -> Figure:
    figure, axes = figures.subplots(1, 2, figsize=(11, 3.5))
    for axis, (name, split) in zip(axes, splits.items(), strict=True):
        axis.bar(class_names, np.bincount(split.labels, minlength=len(class_names)), color="tab:blue")
        axis.set(title=f"{name}: {len(split)} images", ylabel="images")
        axis.tick_params(axis="x", rotation=45)
    figure.tight_layout()
    return figure


def label_shares(splits: dict[str, Split], class_names: list[str]) -> Figure:
    figure, axes = figures.subplots(1, 2, figsize=(10, 4.5))
    for axis, (name, split) in zip(axes, splits.items(), strict=True):
        counts = np.bincount(split.labels, minlength=len(class_names))
        axis.pie(counts, labels=class_names, autopct="%.1f%%", textprops={"fontsize": 8})
        axis.set_title(f"share of each class in {name}")
    figure.tight_layout()
    return figure


def samples(name: str, split: Split, class_names: list[str], seed: int) -> Figure:
    rows = np.random.default_rng(seed).permutation(len(split))[:SAMPLES]
    titles = [class_names[label] for label in split.labels[rows]]
    return figures.image_grid(split.images[rows], titles, ["black"] * len(rows), 5, f"{name}: a random sample")


def mean_images(train: Split, class_names: list[str]) -> Figure:
    means = [np.rint(train.images[train.labels == label].mean(axis=0)) for label in range(len(class_names))]
    images = np.array(means).astype(np.uint8)
    return figures.image_grid(images, class_names, ["black"] * len(images), 5, "mean training image of each class")


def pixel_histograms(shares: dict[str, np.ndarray]) -> Figure:
    figure, axes = figures.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    for axis, (name, by_colour) in zip(axes, shares.items(), strict=True):
        for share, colour in zip(by_colour, ("red", "green", "blue"), strict=True):
            axis.plot(share, color=colour, label=colour)
        axis.set(title=name, xlabel="pixel value", ylabel="share of pixels")
    axes[0].legend()
    figure.tight_layout()
    return figure
