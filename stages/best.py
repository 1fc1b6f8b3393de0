"""best: retrain tune's winner for its full number of epochs and score it once on the test split.

Reads data/prepared.npz, data/test.npz, metrics/tune.json and the params `seed` and `threads`; writes models/best.keras,
metrics/validation/best.json (its validation scores and history), and all that `evaluate` writes.
"""

from study import runtime
from study.data import arrays
from study.models import scripts
from study.params.load import load
from study.params.schema import BEST
from study.review import evaluation
from study.search import winner
from study.training import stage
from study.training.fit import fit, start


def main() -> None:
    params = load("seed", "threads")
    runtime.use_threads(params.threads)
    tuned = winner.read()
    architecture = scripts.architecture(tuned["model"])  # its code belongs to the checkpoint's key: before `start`
    run = start(BEST, tuned["block"], params.seed, arrays.read_prepared())
    model, history = fit(architecture, run)
    validation = stage.validation_scores(model, run)
    stage.write(BEST, model, validation, history)
    evaluation.evaluate(BEST, model)


if __name__ == "__main__":
    runtime.run(main)
