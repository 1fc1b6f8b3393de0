"""evaluate@NAME: score one of the models and its repeats on the test split.

Reads data/test.npz, models/NAME.keras, models/repeats/NAME.npz and the param `threads`; writes metrics/test/NAME.json,
metrics/images/NAME.csv (a row per image), data/predictions/NAME.npz and plots/predictions/NAME.png.
"""

import sys

from study.base import runtime
from study.base.runtime import UserError
from study.evaluation import evaluate
from study.model_files import keras_file, repeats_file
from study.params.load import load
from study.scoring import gpus


def main(*names: str) -> None:
    if len(names) != 1:
        raise UserError("evaluate takes the name of one model: python -m stages.evaluate cnn2")
    params = load("threads")
    runtime.use_threads(params.threads)
    gpus.set_up()
    (name,) = names
    evaluate.evaluate(name, keras_file.read(f"models/{name}.keras"), repeats_file.read(name))


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
