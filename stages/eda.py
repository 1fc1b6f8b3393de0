"""eda: what the data are and what is wrong with them.

Reads data/raw.npz; writes metrics/eda.json and figures to plots/eda: label counts and shares, labelled samples, mean
image of each class, pixel histograms.
"""

import matplotlib.pyplot as plt
import numpy as np

from stages.lib import dataset, duplicates, errors, figures, files, params
from stages.lib.dataset import Split

SAMPLES = 25
COUNTED_AT_ONCE = 1024  # images: NumPy counts in 64-bit copies of their pixels


def main() -> None:
    seed = params.load("seed")
    train, test, class_names = dataset.read_raw()
    splits = {"train": train, "test": test}
    shares = {name: pixel_shares(split) for name, split in splits.items()}
    files.write_json("metrics/eda.json", summary(train, test, class_names, shares))
    figures.save(label_counts(splits, class_names), "plots/eda/label_counts.png")
    figures.save(label_shares(splits, class_names), "plots/eda/label_shares.png")
    for name, split in splits.items():
        figures.save(samples(name, split, class_names, seed), f"plots/eda/samples_{name}.png")
    figures.save(mean_images(train, class_names), "plots/eda/mean_images.png")
    figures.save(pixel_histograms(shares), "plots/eda/pixel_histograms.png")


def summary(train: Split, test: Split, class_names: list[str], shares: dict[str, np.ndarray]) -> dict:
    in_test, repeated, conflicting = duplicates.faults(train, test)
    within_test = len(test) - len(np.unique(duplicates.groups(test.images)))
    record = {"classes": class_names}
    for name, split in (("train", train), ("test", test)):
        mean = shares[name] @ np.arange(256)
        deviation = np.sqrt(shares[name] @ np.arange(256) ** 2 - mean**2)
        counts = np.bincount(split.labels, minlength=len(class_names))
        record[name] = {
            "images_shape": list(split.images.shape),
            "images_dtype": str(split.images.dtype),
            "labels_shape": list(split.labels.shape),
            "labels_dtype": str(split.labels.dtype),
            "missing_values": missing_values(split.images) + missing_values(split.labels),
            "label_counts": dict(zip(class_names, counts.tolist(), strict=True)),
            "pixel_mean_rgb": [round(float(value), 3) for value in mean],
            "pixel_std_rgb": [round(float(value), 3) for value in deviation],
        }
    record["exact_duplicates"] = {
        "within_train": int(repeated.sum()),
        "within_test": within_test,
        "train_images_in_test": int(in_test.sum()),
        "train_images_with_conflicting_labels": int(conflicting.sum()),
    }
    return record


def pixel_shares(split: Split) -> np.ndarray:
    """Share of pixels that hold each value 0 .. 255, by colour: (3, 256) float64."""
    counts = np.zeros((3, 256))
    for start in range(0, len(split), COUNTED_AT_ONCE):
        part = split.images[start : start + COUNTED_AT_ONCE]
        counts += [np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(3)]
    return counts / split.images[..., 0].size


def missing_values(values: np.ndarray) -> int:
    """How many are NaN; whole numbers never are."""
    return int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0


def label_counts(splits: dict[str, Split], class_names: list[str]) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.5))
    for axis, (name, split) in zip(axes, splits.items(), strict=True):
        axis.bar(class_names, np.bincount(split.labels, minlength=len(class_names)), color="tab:blue")
        axis.set(title=f"{name}: {len(split)} images", ylabel="images")
        axis.tick_params(axis="x", rotation=45)
    figure.tight_layout()
    return figure


def label_shares(splits: dict[str, Split], class_names: list[str]) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.5))
    for axis, (name, split) in zip(axes, splits.items(), strict=True):
        counts = np.bincount(split.labels, minlength=len(class_names))
        axis.pie(counts, labels=class_names, autopct="%.1f%%", textprops={"fontsize": 8})
        axis.set_title(f"share of each class in {name}")
    figure.tight_layout()
    return figure


def samples(name: str, split: Split, class_names: list[str], seed: int) -> plt.Figure:
    rows = np.random.default_rng(seed).permutation(len(split))[:SAMPLES]
    titles = [class_names[label] for label in split.labels[rows]]
    return figures.image_grid(split.images[rows], titles, ["black"] * len(rows), 5, f"{name}: a random sample")


def mean_images(train: Split, class_names: list[str]) -> plt.Figure:
    means = [np.rint(train.images[train.labels == label].mean(axis=0)) for label in range(len(class_names))]
    images = np.array(means).astype(np.uint8)
    return figures.image_grid(images, class_names, ["black"] * len(images), 5, "mean training image of each class")


def pixel_histograms(shares: dict[str, np.ndarray]) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    for axis, (name, by_colour) in zip(axes, shares.items(), strict=True):
        for share, colour in zip(by_colour, ("red", "green", "blue"), strict=True):
            axis.plot(share, color=colour, label=colour)
        axis.set(title=name, xlabel="pixel value", ylabel="share of pixels")
    axes[0].legend()
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    errors.run(main)
