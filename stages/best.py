"""best: retrain tune's winner at full budget and score it once on the test split.

Reads data/prepared.npz, data/test.npz, metrics/tune.json; writes models/best.keras, plots/training/best.csv,
metrics/best.json (its validation scores) and all that `evaluate` writes of a model.
"""

from stages.lib import architectures, errors, evaluation, files, params, training


def main() -> None:
    seed, scoring_params = params.load("seed", "scoring")
    tuned = files.read_json("metrics/tune.json", params.Tuned)
    build = architectures.build_of(tuned["model"])
    run = training.start("best", tuned["block"], seed)
    model, validation = training.train("best", build, run, scoring_params)
    files.write_json("metrics/best.json", {"model": tuned["model"], "validation": validation})
    evaluation.evaluate("best", model, scoring_params, seed)


if __name__ == "__main__":
    errors.run(main)
