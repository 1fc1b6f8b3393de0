"""best: retrain tune's winner, and the tuned model's own block for as many epochs; score both once on the test split.

The latter is the control: it shows what more epochs gain without a search. Reads data/prepared.npz, data/test.npz,
metrics/tune.json and the params `seed` and `threads`; writes for `best` and for `control` what a training script writes
(models/best.keras, models/repeats/best.npz, metrics/validation/best.json) and all that `evaluate` writes.
"""

from study import runtime
from study.models import scripts
from study.params.load import load
from study.params.schema import BEST, CONTROL
from study.review import evaluation
from study.search import winner
from study.training import stage


def main() -> None:
    params = load("seed", "threads")
    runtime.use_threads(params.threads)
    tuned = winner.read()
    architecture = scripts.architecture(tuned["model"])  # its code belongs to the checkpoint's key: before the training
    for name, block in ((BEST, "block"), (CONTROL, "control")):
        shown = f"{winner.FILE}, as tune.space of params.yaml made it: {block}"
        model, repeats = stage.fit_and_write(name, architecture, tuned[block], params.seed, block_name=shown)
        evaluation.evaluate(name, model, repeats)


if __name__ == "__main__":
    runtime.run(main)
