"""The one place where a model meets the test split."""

import keras
import numpy as np
from matplotlib.figure import Figure

from study.base import files
from study.base.runtime import UserError, memory_for
from study.data.arrays import Split
from study.drawing import figures
from study.evaluation import image_scores, test_split
from study.evaluation.final_scores import final_scores
from study.model_files import repeats_file
from study.model_files.repeats_file import Repeats
from study.scoring.predict import predict

GRID_IMAGES = 20  # or one per class, if there are more classes; the figure of more takes over 200 KB


def evaluate(name: str, model: keras.Model, repeats: Repeats) -> None:
    """Score a model and its repeats on the test split; write their scores, the scores of each image, and the model's
    predictions and a grid of them.

    Raises UserError if the model or a repeat does not fit.
    """
    test, class_names = test_split.read()
    shapes, needed = (model.input_shape[1:], model.output_shape[1:]), (test.images.shape[1:], (len(class_names),))
    if shapes != needed:
        raise UserError(
            f"models/{name}.keras: takes images {shapes[0]} and gives {shapes[1]} probabilities; the test split has "
            f"{needed[0]} and {needed[1]}; {files.RESTORE_CACHED}"
        )
    runs = [_probabilities(name, each, test.images) for each in repeats_file.each(name, model, repeats)]
    record = final_scores(test.labels, runs, repeats.seeds, class_names)

    files.write_npz(f"data/predictions/{name}.npz", labels=test.labels, probabilities=runs[0])
    files.write_json(f"metrics/test/{name}.json", record)
    image_scores.write(name, image_scores.image_scores(test.images, test.labels, runs), class_names)
    grid = prediction_grid(name, test, runs[0].argmax(axis=1), class_names)
    figures.save(grid, f"plots/predictions/{name}.png")
    interval = f" [{record['roc_auc_low']:.4f}, {record['roc_auc_high']:.4f}]" if "roc_auc_low" in record else ""
    print(f"{name}: test ROC-AUC {record['roc_auc']:.4f}{interval}, accuracy {record['accuracy']:.3f}")


def _probabilities(name: str, model: keras.Model, images: np.ndarray) -> np.ndarray:
    """(N, C) float32. Raises UserError if they are not finite or find no memory."""
    with memory_for(f"models/{name}.keras", "predictions of a smaller network, or on smaller images, need less"):
        probabilities = predict(model, images)
    if not np.isfinite(probabilities).all():
        raise UserError(f"models/{name}.keras: gives probabilities that are not finite; {files.RESTORE_CACHED}")
    return probabilities


def prediction_grid(name: str, test: Split, predicted: np.ndarray, class_names: list[str]) -> Figure:
    """The first test images of each class under the predicted class: green where right, red where wrong."""
    rows = figures.first_of_each_class(test, len(class_names), max(GRID_IMAGES, len(class_names)))
    labels = figures.class_labels(class_names)
    right = predicted[rows] == test.labels[rows]
    titles = [
        labels[guess] if hit else f"{labels[guess]}\n({labels[label]})"
        for guess, label, hit in zip(predicted[rows], test.labels[rows], right, strict=True)
    ]
    colours = [figures.RIGHT if hit else figures.WRONG for hit in right]
    return figures.image_grid(
        test.images[rows], titles, colours, 10, f"{name}: predicted class (true class where wrong)"
    )
