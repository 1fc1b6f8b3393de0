"""Which training images a model may learn from, and which it is chosen by."""

import math

import numpy as np
from sklearn.model_selection import train_test_split

from study.data import arrays, duplicates, near_duplicates
from study.data.arrays import Split
from study.runtime import UserError

LEAST = 4  # different images of a class: two to validate with, one to learn from, one for the rounding of a fraction


def clean_rows(train: Split, test: Split, class_names: list[str], drop_near: bool = False) -> np.ndarray:
    """Rows of the training images that are not in the test split, not repeated, and not labelled in two ways.

    With `drop_near`, near copies of test images are left out as well, and all but the first of each group of near
    copies. Raises UserError where fewer than LEAST images of a class are left.
    """
    in_test, repeated, conflicting = duplicates.faults(train, test)
    dropped = {
        "that are in the test split": in_test,
        "whose copy has another label": conflicting & ~in_test,
        "repeated": repeated & ~in_test & ~conflicting,
    }
    kept = ~(in_test | repeated | conflicting)
    if drop_near:
        near_test, near_train = _near(train, test, np.flatnonzero(kept))
        dropped |= {"near copies of test images": near_test, "near copies of other training images": near_train}
        kept &= ~(near_test | near_train)
    print(f"{len(train)} training images: dropped {_counted(dropped)}")
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


def _near(train: Split, test: Split, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which images of these rows are near copies of test images, and which others of earlier ones: two (N,) bool."""
    looks = near_duplicates.looks(train.images[row] for row in rows)
    near_test, near_train = np.zeros((2, len(train)), bool)
    is_near = near_duplicates.matches(looks, near_duplicates.looks(test.images)) >= 0
    near_test[rows[is_near]] = True
    others = rows[~is_near]
    groups = near_duplicates.groups(len(others), near_duplicates.links(looks[~is_near]))
    _, first = np.unique(groups, return_index=True)
    near_train[np.delete(others, first)] = True
    return near_test, near_train


def groups_of(train: Split, rows: np.ndarray) -> np.ndarray:
    """A number for each image of these rows, equal for near copies: (N,) int. Prints how many have some."""
    looks = near_duplicates.looks(train.images[row] for row in rows)
    groups = near_duplicates.groups(len(rows), near_duplicates.links(looks))
    sizes = np.bincount(groups)
    if sizes.max(initial=0) > 1:
        print(
            f"{sizes[sizes > 1].sum()} training images are near copies of each other, in {np.count_nonzero(sizes > 1)} "
            "groups; each group is learned from or validated with as a whole"
        )
    return groups


def _counted(dropped: dict[str, np.ndarray]) -> str:
    """How many images are dropped for each reason."""
    return ", ".join(f"{rows.sum()} {reason}" for reason, rows in dropped.items())


def split(
    train: Split, rows: np.ndarray, groups: np.ndarray, class_names: list[str], fraction: float, seed: int
) -> tuple[Split, Split]:
    """The images of these rows to learn from, and about the `fraction` of them for validation, class by class.

    `groups` (N,) is equal for images that stay together. Drawn are the first images of groups; the others follow them.
    A group of more than half of the images of a class is learned from. Raises UserError where a class would have no
    image to learn from, or fewer than two for validation.
    """
    _, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    per_class = np.bincount(train.labels[rows], minlength=len(class_names))
    drawn = np.sort(first[2 * sizes <= per_class[train.labels[rows[first]]]])
    labels = train.labels[rows[drawn]]
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < LEAST:
        label = int(counts.argmin())
        raise UserError(
            f"{arrays.RAW}: the {per_class[label]} cleaned training images of class {class_names[label]} form "
            f"{counts[label]} small groups of near copies; each class needs {LEAST}: add other images of it to the "
            "data, or set prepare.near_duplicates to ignore in params.yaml"
        )
    try:
        _, leaders = train_test_split(drawn, test_size=fraction, stratify=labels, random_state=seed)
        is_validation = np.isin(groups, groups[leaders])
        learn, validate = rows[~is_validation], rows[is_validation]
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
    return train[learn], train[validate]
