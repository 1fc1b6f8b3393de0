"""The one place where a model meets the test split."""

import keras
import numpy as np
from matplotlib.figure import Figure

from study import files
from study.data.arrays import Split
from study.review import figures
from study.runtime import UserError
from study.scoring import image_scores, test_split
from study.scoring.predict import predict
from study.scoring.scores import scores

GRID_IMAGES = 40


def evaluate(name: str, model: keras.Model) -> None:
    """Score a model on the test split; write its scores, those of each image, its predictions and a grid of them.

    Raises UserError where the model does not fit the test split.
    """
    test, class_names = test_split.read()
    shapes, needed = (model.input_shape[1:], model.output_shape[1:]), (test.images.shape[1:], (len(class_names),))
    if shapes != needed:
        raise UserError(
            f"models/{name}.keras: takes images {shapes[0]} and gives {shapes[1]} probabilities; the test split has "
            f"{needed[0]} and {needed[1]}; {files.RESTORE_CACHED}"
        )
    probabilities = predict(model, test.images)
    if not np.isfinite(probabilities).all():
        raise UserError(f"models/{name}.keras: gives probabilities that are not finite; {files.RESTORE_CACHED}")
    predicted = probabilities.argmax(axis=1)
    record = scores(test.labels, probabilities)

    files.write_npz(f"data/predictions/{name}.npz", labels=test.labels, probabilities=probabilities)
    files.write_json(f"metrics/test/{name}.json", record)
    of_images = image_scores.image_scores(test.images, test.labels, probabilities)
    image_scores.write(name, of_images, class_names)
    figures.save(prediction_grid(name, test, predicted, class_names), f"plots/predictions/{name}.png")
    interval = f"[{record['roc_auc_low']:.4f}, {record['roc_auc_high']:.4f}]"
    print(f"{name}: test ROC-AUC {record['roc_auc']:.4f} {interval}, accuracy {record['accuracy']:.3f}")


def prediction_grid(name: str, test: Split, predicted: np.ndarray, class_names: list[str]) -> Figure:
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
