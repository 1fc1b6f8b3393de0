"""best: retrain tune's winner for its full number of epochs and score it once on the test split.

Reads data/prepared.npz, data/test.npz, metrics/tune.json and the params `seed` and `threads`; writes what a training
script writes (models/best.keras, models/repeats/best.npz, metrics/validation/best.json) and all that `evaluate` writes.
"""

from study import runtime
from study.models import scripts
from study.params.load import load
from study.params.schema import BEST
from study.review import evaluation
from study.search import winner
from study.training import stage


def main() -> None:
    params = load("seed", "threads")
    runtime.use_threads(params.threads)
    tuned = winner.read()
    architecture = scripts.architecture(tuned["model"])  # its code belongs to the checkpoint's key: before the training
    shown = f"{winner.FILE}, as tune.space of params.yaml made it: block"
    model, repeats = stage.fit_and_write(BEST, architecture, tuned["block"], params.seed, block_name=shown)
    evaluation.evaluate(BEST, model, repeats)


if __name__ == "__main__":
    runtime.run(main)
