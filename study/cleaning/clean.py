"""Which training images a model may learn from, and which it is chosen by."""

import itertools
import math
from operator import itemgetter

import numpy as np

from study.base.runtime import UserError
from study.cleaning import duplicates, near_duplicates
from study.data import arrays
from study.data.arrays import Split

# Fractions that are tried if the given one does not work.
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, *(step / 20 for step in range(1, 20)), 0.98, 0.99)
ROUNDING = 1e-6  # of the share of a class, in images
LEAST = 4  # different images of a class: two to validate with, one to learn from, one for the rounding of a fraction


def clean_rows(train: Split, test: Split, class_names: list[str], drop_near: bool = False) -> np.ndarray:
    """Rows of the training images that are not in the test split, not repeated, and not labelled in two ways.

    With `drop_near`, near copies of test images are left out as well, and all but the first of each group of near
    copies. Raises UserError if fewer than LEAST images of a class are left.
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
    _, first = np.unique(near_duplicates.groups(looks[~is_near]).numbers, return_index=True)
    near_train[np.delete(others, first)] = True
    return near_test, near_train


def groups_of(train: Split, rows: np.ndarray) -> np.ndarray:
    """A number for each image of these rows, equal for near copies: (N,) int. Prints how many have some."""
    looks = near_duplicates.looks(train.images[row] for row in rows)
    groups = near_duplicates.groups(looks).numbers
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
    """The images of these rows to learn from, and the `fraction` of them for validation, class by class.

    `groups` (N,) is equal for images that stay together. No class has more for validation than its fraction, rounded
    up; it has less if its groups do not fit. A group larger than that is learned from. Raises UserError if a
    class would have no image to learn from, or fewer than two for validation.
    """
    labels, classes = train.labels[rows], len(class_names)
    is_validation = _for_validation(labels, groups, classes, fraction, seed)
    lacks_learning, lacks_validation = _lacking(labels, is_validation, classes)
    if (lacks_learning | lacks_validation).any():
        images = np.bincount(labels, minlength=classes)
        label = int(np.where(lacks_learning | lacks_validation, images, len(rows) + 1).argmin())
        count = len(np.unique(groups[labels == label]))
        described = f"{images[label]} cleaned training images of class {class_names[label]}"
        in_groups = "" if count == images[label] else f", in {count} group{'s' * (count > 1)} of near copies"
        works = [_works(labels, groups, classes, each, seed) for each in FRACTIONS]
        if not any(works):
            raise UserError(
                f"{arrays.RAW}: the {described}{in_groups}, cannot be split by any prepare.validation_fraction; add "
                "other images of it to the data, or set prepare.near_duplicates to ignore in params.yaml"
            )
        lowest, highest = _longest_run(works)
        raise UserError(
            f"params.yaml: prepare.validation_fraction is {fraction}, which leaves a class "
            f"{'no image to learn from' if lacks_learning.any() else 'fewer than two images for validation'}; allowed "
            f"with the {described}{in_groups}: {lowest:g} to {highest:g}"
        )
    return train[rows[~is_validation]], train[rows[is_validation]]


def _for_validation(labels: np.ndarray, groups: np.ndarray, classes: int, fraction: float, seed: int) -> np.ndarray:
    """Which images are drawn for validation, (N,) bool: groups that fit, until each class has its fraction."""
    from sklearn.model_selection import train_test_split  # see `runtime.OPTIONAL`

    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    content = np.zeros((len(first), classes), np.int32)  # images of each class in each group
    np.add.at(content, (members, labels), 1)
    exact = content.sum(axis=0) * math.ceil(fraction * len(labels)) / len(labels)
    least, most = np.floor(exact + ROUNDING), np.ceil(exact - ROUNDING)
    fitting = np.flatnonzero((content <= most).all(axis=1))
    fitting = fitting[np.argsort(first[fitting])]
    try:
        others, drawn = train_test_split(
            fitting, test_size=fraction, stratify=labels[first[fitting]], random_state=seed
        )
    except ValueError:  # a part has fewer groups than there are classes
        return np.full(len(labels), fraction > 0.5)
    taken, is_taken = np.zeros(classes, int), np.zeros(len(first), bool)
    for limit, candidates in ((most, drawn), (least, others)):  # the others if the drawn ones do not fit
        for group in candidates:
            if (taken >= limit).all():
                break
            has = content[group] > 0
            if (taken[has] < limit[has]).all() and (taken + content[group] <= most)[has].all():
                taken += content[group]
                is_taken[group] = True
    return is_taken[members]


def _lacking(labels: np.ndarray, is_validation: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes without an image to learn from, and those with fewer than two for validation: two (C,) bool."""
    learning, validation = (np.bincount(labels[part], minlength=classes) for part in (~is_validation, is_validation))
    return learning < 1, validation < 2


def _works(labels: np.ndarray, groups: np.ndarray, classes: int, fraction: float, seed: int) -> bool:
    return not np.any(_lacking(labels, _for_validation(labels, groups, classes, fraction, seed), classes))


def _longest_run(works: list[bool]) -> tuple[float, float]:
    """The lowest and the highest of the most FRACTIONS in a row that work."""
    runs = [
        list(run)
        for is_working, run in itertools.groupby(zip(works, FRACTIONS, strict=True), itemgetter(0))
        if is_working
    ]
    longest = max(runs, key=len)
    return longest[0][1], longest[-1][1]
