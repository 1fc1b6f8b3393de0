"""best: retrain tune's winner at full budget and score it once on the test split.

Reads data/prepared.npz, data/test.npz, metrics/tune.json; writes models/best.keras, metrics/test/best.json,
metrics/best.json (its validation scores) and, as `evaluate` does, what reviewers read.
"""

from pydantic import TypeAdapter

from stages.lib import architectures, dataset, errors, evaluation, files, params, scoring, training

TUNED = "metrics/tune.json"


def main() -> None:
    seed, scoring_params = params.load("seed", "scoring")
    tuned = files.read_json(TUNED)
    block = TypeAdapter(params.Model).validate_python(tuned["block"])
    prepared = dataset.read_prepared()
    model, history = training.fit(architectures.build_of(tuned["model"]), block, prepared, seed)
    probabilities = scoring.predict(model, prepared.validation.images)
    validation = scoring.scores(prepared.validation.labels, probabilities, scoring_params.bootstrap_replicates, seed)
    files.write_model("models/best.keras", model)
    training.write_learning_curves("plots/training/best.csv", history)
    files.write_json("metrics/best.json", {"model": tuned["model"], "validation": validation})
    evaluation.evaluate("best", model, scoring_params, seed)


if __name__ == "__main__":
    errors.run(main)
