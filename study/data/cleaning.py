"""Which training images a model may learn from, and which it is chosen by."""

import numpy as np
from sklearn.model_selection import train_test_split

from study.data import duplicates
from study.data.arrays import Split
from study.runtime import UserError


def clean_rows(train: Split, test: Split) -> np.ndarray:
    """Rows of the training images that are not in the test split, not repeated, and not labelled in two ways."""
    in_test, repeated, conflicting = duplicates.faults(train, test)
    print(
        f"{len(train)} training images: dropped {in_test.sum()} that are in the test split, "
        f"{(conflicting & ~in_test).sum()} whose copy has another label, "
        f"{(repeated & ~in_test & ~conflicting).sum()} repeated"
    )
    return np.flatnonzero(~(in_test | repeated | conflicting))


def split(train: Split, rows: np.ndarray, class_names: list[str], fraction: float, seed: int) -> tuple[Split, Split]:
    """The images of these rows to learn from, and the `fraction` of them for validation, class by class.

    Raises UserError where a class would have no image to learn from, or fewer than two for validation.
    """
    param = f"params.yaml: prepare.validation_fraction is {fraction}"
    try:
        learn, validate = train_test_split(rows, test_size=fraction, stratify=train.labels[rows], random_state=seed)
    except ValueError as error:
        raise UserError(f"{param} and cleaning left {len(rows)} images: {error}") from None
    learning, validation = train[np.sort(learn)], train[np.sort(validate)]
    for part, least, purpose in ((learning, 1, "to learn from"), (validation, 2, "for validation")):
        images_per_class = np.bincount(part.labels, minlength=len(class_names))
        if images_per_class.min() < least:
            rare = int(images_per_class.argmin())
            raise UserError(
                f"{param}: it leaves {images_per_class[rare]} images {purpose} of class {class_names[rare]}; allowed: "
                f"{least} or more; more images of it, or another fraction, are needed"
            )
    return learning, validation
