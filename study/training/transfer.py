"""Training of a head on the frozen backbone with given weights, before the whole network is fine-tuned.

This is the usual schedule of transfer learning (https://keras.io/guides/transfer_learning): the last layer learns on
the frozen backbone's features, then the whole network but for batch norm is fine-tuned at a small rate.
"""

from collections.abc import Iterator

import keras
import numpy as np

from study.scoring.predict import predict
from study.training import batches, optimizer
from study.training.checkpoint import Phase
from study.training.loop import DivergedError, Run, fit_epochs

FEATURE_FILE = 2048  # images whose features one file holds


def fit_head(model: keras.Model, run: Run) -> None:
    """Train the head on the frozen backbone's features of every image and, with flips, of its mirror image.

    The model has the parts `features` and `head`. Raises DivergedError where the loss is not finite.
    """
    block, labels, head = run.block, run.prepared.train.labels, model.get_layer("head")
    trained = optimizer.compiled(
        keras.Model(head.inputs, head.outputs),  # of the same layers: what is saved of `head` holds no optimizer
        keras.optimizers.Adam(block.head.learning_rate),
        block.label_smoothing,
    )
    phase = Phase(run.checkpoint, "head")
    if phase.next_epoch(block.head.epochs) == block.head.epochs:
        phase.restore(trained)
    else:
        inputs = features(model.get_layer("features"), run)
        batch_size = min(block.batch_size, len(labels))
        one_hot = np.eye(len(run.prepared.class_names), dtype=np.float32)

        def batches_from(epoch: int) -> Iterator[batches.Batch]:
            for rows, _ in batches.shuffled(len(inputs), batch_size, run.seed, epoch):
                yield inputs[rows], one_hot[labels[rows % len(labels)]]

        fit_epochs(trained, batches_from, len(inputs) // batch_size, block.head.epochs, phase)
    if not np.isfinite(phase.history[-1]["loss"]):
        raise DivergedError(
            f"{run.name}.head.learning_rate is {block.head.learning_rate}, and the loss of the head is not finite; "
            "choose a lower rate"
        )


def features(extractor: keras.Model, run: Run) -> np.ndarray:
    """(N or 2 N, F) float16: the backbone's features of the N training images and, with flips, of their mirror images.

    Half precision rounds to one part in 2048 and halves the memory. Kept with the checkpoint, one file per
    FEATURE_FILE images, so that a killed run computes none of them twice.
    """
    images = run.prepared.train.images
    views = [images, images[:, :, ::-1]] if run.block.augmentation.flip else [images]
    found = np.empty((len(views) * len(images), extractor.output_shape[-1]), np.float16)
    for number, view in enumerate(views):
        for start in range(0, len(images), FEATURE_FILE):
            name = f"features-{number}-{start:07d}"
            kept = run.checkpoint.read(name)
            if kept is None:
                kept = {"features": predict(extractor, view[start : start + FEATURE_FILE]).astype(np.float16)}
                run.checkpoint.write(name, **kept)
            first = number * len(images) + start
            found[first : first + len(kept["features"])] = kept["features"]
    return found
