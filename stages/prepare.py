"""prepare: clean the training images and split off validation, unless the data have a validation split.

Reads data/raw.npz and the param `prepare`; writes data/prepared.npz (training and validation) and
data/test.npz (the test split untouched, in a file of its own so that dvc.yaml shows who can read it).
"""

import numpy as np

from study.base import files, runtime
from study.cleaning import clean
from study.data import arrays
from study.params.load import load


def main() -> None:
    params = load("prepare")
    train, test, class_names, fit, is_validation = arrays.read_raw()
    near = params.prepare.near_duplicates
    rows = clean.clean_rows(train, test, class_names, drop_near=near == "drop")
    groups = clean.groups_of(train, rows) if near == "group" else np.arange(len(rows))
    if is_validation is None:
        fraction, seed = params.prepare.validation_fraction, params.prepare.seed
        learning, validation = clean.drawn_split(train, rows, groups, class_names, fraction, seed)
    else:
        learning, validation = clean.given_split(train, rows, groups, class_names, is_validation)
    files.write_npz(
        arrays.PREPARED,
        x_train=learning.images,
        y_train=learning.labels,
        x_validation=validation.images,
        y_validation=validation.labels,
        class_names=class_names,
        fit=fit,
    )
    files.write_npz(arrays.TEST, x_test=test.images, y_test=test.labels, class_names=class_names)
    print(f"{len(learning)} to learn from, {len(validation)} for validation, {len(test)} for the test")


if __name__ == "__main__":
    runtime.run(main)
