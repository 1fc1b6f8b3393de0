"""best: retrain tune's winner at full budget and score it once on the test split.

Reads data/prepared.npz, data/test.npz, metrics/tune.json; writes models/best.keras, metrics/test/best.json,
metrics/best.json (its validation scores) and, as `evaluate` does, what reviewers read.
"""

from stages.lib import architectures, errors, evaluation, files, params, scoring, training


def main() -> None:
    seed, scoring_params = params.load("seed", "scoring")
    tuned = files.read_json("metrics/tune.json", params.Tuned)
    build = architectures.build_of(tuned["model"])
    run = training.start("best", tuned["block"], seed)
    model, history = training.fit(build, run)
    probabilities = scoring.predict(model, run.prepared.validation.images)
    validation = scoring.scores(
        run.prepared.validation.labels, probabilities, scoring_params.bootstrap_replicates, seed
    )
    files.write_model("models/best.keras", model)
    training.write_learning_curves("plots/training/best.csv", history)
    files.write_json("metrics/best.json", {"model": tuned["model"], "validation": validation})
    evaluation.evaluate("best", model, scoring_params, seed)


if __name__ == "__main__":
    errors.run(main)
