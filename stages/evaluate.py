"""evaluate@NAME: score one of the models on the test split.

Reads data/test.npz, models/NAME.keras; writes metrics/test/NAME.json, data/predictions/NAME.npz, and for reviewers its
confusion matrix, classification report and grid of predictions.
"""

import sys

from stages.lib import errors, evaluation, files, params
from stages.lib.errors import UserError


def main(*names: str) -> None:
    if len(names) != 1:
        raise UserError("evaluate takes the name of one model: python -m stages.evaluate cnn2")
    name = names[0]
    seed, scoring = params.load("seed", "scoring")
    evaluation.evaluate(name, files.read_model(f"models/{name}.keras"), scoring, seed)


if __name__ == "__main__":
    errors.run(main, *sys.argv[1:])
