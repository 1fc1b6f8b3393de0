"""best: retrain tune's winner, and the tuned model's own block for as many epochs; score both once on the test split.

The latter is the control: it shows what more epochs gain without a search. If the search kept that block, one run
serves both. What `tune` trained to confirm the winner is not trained again. Reads data/prepared.npz, data/test.npz,
metrics/tune.json and the param `threads`; writes for `best` and for `control` what a training script writes
(models/best.keras, models/repeats/best.npz, metrics/validation/best.json) and all that `evaluate` writes.
"""

from study.base import runtime
from study.evaluation import evaluate
from study.models.common import scripts
from study.params.load import load
from study.params.schema import BEST, CONTROL
from study.search.outcome import winner
from study.training import stage
from study.training.run import repeats


def main() -> None:
    params = load("threads")
    runtime.use_threads(params.threads)
    tuned = winner.read()
    architecture = scripts.architecture(tuned["model"])
    trained = None
    for name, key, trial in ((BEST, "block", tuned["trial"]), (CONTROL, "control", None)):
        block = tuned[key]
        if not trained or block != tuned["block"]:
            shown = f"{winner.FILE}, as tune.space of params.yaml made it: {key}"
            checkpoint = winner.checkpoint(tuned["model"], trial, block.epochs)
            runs = repeats(name, tuned["model"], block, tuned["seed"], shown, checkpoint)
            trained = stage.train_block(name, architecture, runs)
        stage.write(name, trained)
        evaluate.evaluate(name, trained.model, trained.repeats)


if __name__ == "__main__":
    runtime.run(main)
