"""prepare: clean the training images and split off validation.

Reads data/raw.npz; writes data/prepared.npz (training and validation) and data/test.npz (the test split untouched, in a
file of its own so that dvc.yaml shows who can see it).
"""

import numpy as np
from sklearn.model_selection import train_test_split

from stages.lib import dataset, duplicates, errors, files, params
from stages.lib.errors import UserError


def main() -> None:
    seed, prepare = params.load("seed", "prepare")
    train, test, class_names = dataset.read_raw()

    in_test, repeated, conflicting = duplicates.faults(train, test)
    kept = np.flatnonzero(~(in_test | repeated | conflicting))
    print(
        f"{len(train)} training images: {in_test.sum()} dropped that stand in test too, "
        f"{(conflicting & ~in_test).sum()} whose copy has another label, "
        f"{(repeated & ~in_test & ~conflicting).sum()} repeated"
    )
    try:
        learn, validate = train_test_split(
            kept, test_size=prepare.validation_fraction, stratify=train.labels[kept], random_state=seed
        )
    except ValueError as error:
        raise UserError(f"prepare.validation_fraction is {prepare.validation_fraction}: {error}") from None
    learn, validate = train[np.sort(learn)], train[np.sort(validate)]
    for part, purpose in ((learn, "to learn from"), (validate, "for validation")):
        absent = set(range(len(class_names))) - set(part.labels.tolist())
        if absent:
            raise UserError(
                f"prepare.validation_fraction is {prepare.validation_fraction}: it leaves no image {purpose} of class "
                f"{class_names[min(absent)]}; more images of it, or another fraction, are needed"
            )

    files.write_npz(
        dataset.PREPARED,
        x_train=learn.images,
        y_train=learn.labels,
        x_validation=validate.images,
        y_validation=validate.labels,
        class_names=class_names,
    )
    files.write_npz(dataset.TEST, x_test=test.images, y_test=test.labels, class_names=class_names)
    print(f"{len(learn)} to learn from, {len(validate)} for validation, {len(test)} for the final test")


if __name__ == "__main__":
    errors.run(main)
