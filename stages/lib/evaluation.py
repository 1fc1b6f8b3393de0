"""The one place where a model meets the test split."""

import keras
import numpy as np
from sklearn.metrics import classification_report

from stages.lib import dataset, figures, files, params, scoring
from stages.lib.dataset import Split
from stages.lib.errors import UserError

GRID_IMAGES = 40


def evaluate(name: str, model: keras.Model, scoring_params: params.Scoring, seed: int) -> None:
    """Score a model on the test split and write all that is reported of it. Raises UserError where it does not fit."""
    test, class_names = dataset.read_test()
    found, needed = (model.input_shape[1:], model.output_shape[1:]), (test.images.shape[1:], (len(class_names),))
    if found != needed:
        raise UserError(
            f"models/{name}.keras: takes images {found[0]} and gives {found[1]} probabilities; the test split has "
            f"{needed[0]} and {needed[1]}; {files.RESTORE_CACHED}"
        )
    probabilities = scoring.predict(model, test.images)
    if not np.isfinite(probabilities).all():
        raise UserError(f"models/{name}.keras: gives probabilities that are not finite; {files.RESTORE_CACHED}")
    predicted = probabilities.argmax(axis=1)
    record = scoring.scores(test.labels, probabilities, scoring_params.bootstrap_replicates, seed)

    files.write_npz(f"data/predictions/{name}.npz", labels=test.labels, probabilities=probabilities)
    files.write_json(f"metrics/test/{name}.json", record)
    names = np.array(class_names)
    files.write_csv(
        f"plots/confusion/{name}.csv",
        ["actual", "predicted"],
        zip(names[test.labels], names[predicted], strict=True),
    )
    files.write_text(
        f"reports/classification/{name}.md", classification_table(name, test.labels, probabilities, class_names)
    )
    figures.save(prediction_grid(name, test, predicted, class_names), f"plots/predictions/{name}.png")
    print(
        f"{name}: test ROC-AUC {record['roc_auc']:.4f} "
        f"[{record['roc_auc_low']:.4f}, {record['roc_auc_high']:.4f}], accuracy {record['accuracy']:.3f}"
    )


def classification_table(name: str, labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> str:
    """Markdown: precision, recall, F1, ROC-AUC and images of each class and on average."""
    report = classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=range(len(class_names)),
        output_dict=True,
        zero_division=0.0,
    )
    areas = scoring.class_roc_auc(labels, probabilities)
    rows = [(name, str(label), area) for label, (name, area) in enumerate(zip(class_names, areas, strict=True))]
    rows.append(("macro avg", "macro avg", areas.mean()))
    lines = [
        f"# {name}: test scores by class",
        "",
        "| class | ROC-AUC | precision | recall | F1 | images |",
        "|---|---|---|---|---|---|",
    ]
    for row, key, area in rows:
        of = report[key]
        rates = " | ".join(f"{of[rate]:.3f}" for rate in ("precision", "recall", "f1-score"))
        lines.append(f"| {row} | {area:.4f} | {rates} | {of['support']:.0f} |")
    return "\n".join(lines) + "\n"


def prediction_grid(name: str, test: Split, predicted: np.ndarray, class_names: list[str]):
    """The first test images of each class under the predicted class: green where right, red where wrong."""
    rows = figures.first_of_each_class(test, len(class_names), GRID_IMAGES)
    right = predicted[rows] == test.labels[rows]
    titles = [
        class_names[guess] if hit else f"{class_names[guess]}\n({class_names[label]})"
        for guess, label, hit in zip(predicted[rows], test.labels[rows], right, strict=True)
    ]
    colours = [figures.RIGHT if hit else figures.WRONG for hit in right]
    return figures.image_grid(
        test.images[rows], titles, colours, 10, f"{name}: predicted class (true class where wrong)"
    )
