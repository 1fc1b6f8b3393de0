"""best: retrain tune's winner, and the tuned model's own block for as many epochs; score both once on the test split.

The latter is the control: it shows what more epochs gain without a search. If the search kept that block, one run
serves both. Reads data/prepared.npz, data/test.npz, metrics/tune.json and the params `seed` and `threads`; writes for
`best` and for `control` what a training script writes (models/best.keras, models/repeats/best.npz,
metrics/validation/best.json) and all that `evaluate` writes.
"""

from study.base import runtime
from study.evaluation import evaluate
from study.models.common import scripts
from study.params.load import load
from study.params.schema import BEST, CONTROL
from study.search.outcome import winner
from study.training import stage


def main() -> None:
    params = load("seed", "threads")
    runtime.use_threads(params.threads)
    tuned = winner.read()
    architecture = scripts.architecture(tuned["model"])  # its code belongs to the checkpoint's key: before the run
    trained = None
    for name, block in ((BEST, "block"), (CONTROL, "control")):
        if not trained or tuned[block] != tuned["block"]:
            shown = f"{winner.FILE}, as tune.space of params.yaml made it: {block}"
            trained = stage.train_block(
                name, architecture, tuned[block], params.seed, block_name=shown, script=tuned["model"]
            )
        stage.write(name, trained)
        evaluate.evaluate(name, trained.model, trained.repeats)


if __name__ == "__main__":
    runtime.run(main)
