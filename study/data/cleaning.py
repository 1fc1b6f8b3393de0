"""Which training images a model may learn from, and which it is chosen by."""

import math

import numpy as np
from sklearn.model_selection import train_test_split

from study.data import arrays, duplicates
from study.data.arrays import Split
from study.runtime import UserError

LEAST = 4  # images of a class: two to validate with, one to learn from, one for the rounding of a fraction


def clean_rows(train: Split, test: Split, class_names: list[str]) -> np.ndarray:
    """Rows of the training images that are not in the test split, not repeated, and not labelled in two ways.

    Raises UserError where fewer than LEAST images of a class are left.
    """
    in_test, repeated, conflicting = duplicates.faults(train, test)
    dropped = {
        "that are in the test split": in_test,
        "whose copy has another label": conflicting & ~in_test,
        "repeated": repeated & ~in_test & ~conflicting,
    }
    print(f"{len(train)} training images: dropped {_counted(dropped)}")
    kept = ~(in_test | repeated | conflicting)
    left = np.bincount(train.labels[kept], minlength=len(class_names))
    if left.min() < LEAST:
        label = int(left.argmin())
        of_class = train.labels == label
        others = np.count_nonzero(left < LEAST) - 1
        raise UserError(
            f"{arrays.RAW}: cleaning leaves {left[label]} of the {of_class.sum()} training images of class "
            f"{class_names[label]}{f' and too few of {others} other classes' if others else ''}; of this class it "
            f"drops {_counted({reason: rows & of_class for reason, rows in dropped.items()})}; each class needs "
            f"{LEAST} or more that are left: add other images of it to the data, or correct their labels"
        )
    return np.flatnonzero(kept)


def _counted(dropped: dict[str, np.ndarray]) -> str:
    """How many images are dropped for each reason."""
    return ", ".join(f"{rows.sum()} {reason}" for reason, rows in dropped.items())


def split(train: Split, rows: np.ndarray, class_names: list[str], fraction: float, seed: int) -> tuple[Split, Split]:
    """The images of these rows to learn from, and the `fraction` of them for validation, class by class.

    Raises UserError where a class would have no image to learn from, or fewer than two for validation.
    """
    counts = np.bincount(train.labels[rows], minlength=len(class_names))
    try:
        learn, validate = train_test_split(rows, test_size=fraction, stratify=train.labels[rows], random_state=seed)
        parts = [np.bincount(train.labels[part], minlength=len(class_names)) for part in (learn, validate)]
        lacking = [parts[0].min() < 1, parts[1].min() < 2]
    except ValueError:  # a part has fewer images than there are classes
        lacking = [fraction > 0.5, fraction <= 0.5]
    if any(lacking):
        rarest = int(counts.argmin())
        lowest, highest = math.ceil(20_000 / counts[rarest]), 10_000 - math.ceil(10_000 / counts[rarest])
        raise UserError(
            f"params.yaml: prepare.validation_fraction is {fraction}, which leaves a class "
            f"{'no image to learn from' if lacking[0] else 'fewer than two images for validation'}; allowed with the "
            f"{counts[rarest]} cleaned training images of class {class_names[rarest]}: {lowest / 10_000:g} to "
            f"{highest / 10_000:g}"
        )
    return train[np.sort(learn)], train[np.sort(validate)]
