"""What a data set is and what is wrong with it."""

import numpy as np

from study.cleaning import duplicates
from study.data.arrays import Split

COUNTED_AT_ONCE = 1024  # images: NumPy counts in 64-bit copies of their pixels


def summary(
    train: Split, test: Split, class_names: list[str], shares: dict[str, np.ndarray], near_faults: dict[str, int]
) -> dict:
    """The record of metrics/eda.json.

    `shares` are the `pixel_shares` of both splits, by name, `near_faults` the images of each fault of near duplicates.
    """
    in_test, repeated, conflicting = duplicates.faults(train, test)
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
            "label_counts": dict(zip(class_names, counts.tolist(), strict=True)),
            "pixel_mean_rgb": [round(float(value), 3) for value in mean],
            "pixel_std_rgb": [round(float(value), 3) for value in deviation],
        }
    faults = {
        "repeated in train": repeated.sum(),
        "repeated in test": len(test) - len(np.unique(duplicates.groups(test.images))),
        "train images that are in test": in_test.sum(),
        "train images whose copy has another label": conflicting.sum(),
    }
    record["duplicates"] = [{"fault": fault, "images": int(images)} for fault, images in (faults | near_faults).items()]
    return record


def pixel_shares(split: Split) -> np.ndarray:
    """Share of pixels that hold each value 0 .. 255, by colour: (3, 256) float64."""
    counts = np.zeros((3, 256))
    for start in range(0, len(split), COUNTED_AT_ONCE):
        part = split.images[start : start + COUNTED_AT_ONCE]
        counts += [np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(3)]
    return counts / split.images[..., 0].size
