"""Which training images a model may learn from, and which it is chosen by."""

import math

import numpy as np
from sklearn.model_selection import train_test_split

from study.base.runtime import UserError
from study.cleaning import duplicates, near_duplicates
from study.data import arrays
from study.data.arrays import Split

ROUNDING = 1e-6  # of the share of a class, in images
LEAST = 4  # different images of a class: two to validate with, one to learn from, one for the rounding of a fraction


def clean_rows(train: Split, test: Split, class_names: list[str], drop_near: bool = False) -> np.ndarray:
    """Rows of the training images that are not in the test split, not repeated, and not labelled in two ways.

    With `drop_near`, near-duplicates of test images are left out as well, and all but the first of each group of near
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
        dropped |= {"near-duplicates of test images": near_test, "near-duplicates of other training images": near_train}
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
    """Which of these rows are near-duplicates of test images, and which others of earlier ones: two (N,) bool."""
    looks = near_duplicates.looks(train.images[row] for row in rows)
    near_test, near_train = np.zeros((2, len(train)), bool)
    is_near = near_duplicates.matches(looks, near_duplicates.looks(test.images)) >= 0
    near_test[rows[is_near]] = True
    others = rows[~is_near]
    _, first = np.unique(near_duplicates.groups(looks[~is_near]).numbers, return_index=True)
    near_train[np.delete(others, first)] = True
    return near_test, near_train


def groups_of(train: Split, rows: np.ndarray) -> np.ndarray:
    """A number for each image of these rows, equal for near-duplicates: (N,) int. Prints how many have some."""
    looks = near_duplicates.looks(train.images[row] for row in rows)
    groups = near_duplicates.groups(looks).numbers
    sizes = np.bincount(groups)
    if sizes.max(initial=0) > 1:
        print(
            f"{sizes[sizes > 1].sum()} training images are near-duplicates of each other, in "
            f"{np.count_nonzero(sizes > 1)} groups; each group stays in the same split"
        )
    return groups


def _counted(dropped: dict[str, np.ndarray]) -> str:
    """How many images are dropped for each reason."""
    return ", ".join(f"{rows.sum()} {reason}" for reason, rows in dropped.items())


def drawn_split(
    train: Split, rows: np.ndarray, groups: np.ndarray, class_names: list[str], fraction: float, seed: int
) -> tuple[Split, Split]:
    """The images of these rows to learn from, and the `fraction` of them for validation, class by class.

    `groups` (N,) is equal for images that stay together. No class has more for validation than its fraction, rounded
    up; it has less if its groups do not fit. A group larger than that is learned from. Raises UserError if a
    class would have no image to learn from, or fewer than two for validation.
    """
    drawn = _for_validation(train.labels[rows], groups, len(class_names), fraction, seed)
    remedy = f"change prepare.validation_fraction, {fraction}, or set prepare.near_duplicates to ignore"
    return _parts(train, rows[~drawn], rows[drawn], class_names, remedy)


def given_split(
    train: Split, rows: np.ndarray, groups: np.ndarray, class_names: list[str], is_validation: np.ndarray
) -> tuple[Split, Split]:
    """The images of these rows to learn from, and the data's own for validation, but none in a group of the former.

    `is_validation` (N,) bool says which training images these are. Raises UserError as `drawn_split` does.
    """
    given = is_validation[rows]
    is_near = given & np.isin(groups, groups[~given])
    print(f"validation split of the data: dropped {is_near.sum()} near-duplicates of images to learn from")
    return _parts(train, rows[~given], rows[given & ~is_near], class_names, "or take the validation split out")


def _parts(
    train: Split, learning: np.ndarray, validation: np.ndarray, class_names: list[str], remedy: str
) -> tuple[Split, Split]:
    """The images of the rows to learn from and of those for validation."""
    parts = train[learning], train[validation]
    counts = [np.bincount(part.labels, minlength=len(class_names)) for part in parts]
    for left, least, purpose in zip(counts, (1, 2), ("to learn from", "for validation"), strict=True):
        if left.min() < least:
            label = int(np.where(left < least, sum(counts), len(train) + 1).argmin())
            raise UserError(
                f"{arrays.RAW}: of the {sum(counts)[label]} cleaned images of class {class_names[label]}, "
                f"{left[label]} are left {purpose}; each class needs {least} or more: add other images of it to the "
                f"data, {remedy}"
            )
    return parts


def _for_validation(labels: np.ndarray, groups: np.ndarray, classes: int, fraction: float, seed: int) -> np.ndarray:
    """Which images are drawn for validation, (N,) bool: groups that fit, until each class has its fraction."""
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
