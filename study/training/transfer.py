"""Training of a head on the frozen backbone with given weights, before the whole network is fine-tuned.

This is the usual schedule of transfer learning (https://keras.io/guides/transfer_learning): the last layer learns on
the frozen backbone's features, then the whole network but for batch norm is fine-tuned at a small rate.
"""

from collections.abc import Sequence

import keras
import numpy as np

from study.data.arrays import Prepared
from study.scoring.predict import predict
from study.training import batches, gradients, optimizer
from study.training.checkpoint import Checkpoint, Phase, Unkept
from study.training.run import DivergedError, Run

FEATURE_FILE = 2048  # images whose features one file holds


def train_head(model: keras.Model, run: Run, prepared: Prepared, checkpoint: Checkpoint | Unkept) -> None:
    """Train the head on the frozen backbone's features of every image and, with flips, of its mirror image.

    The model has the parts `features` and `head`. Raises DivergedError if the loss is not finite.
    """
    block, labels, head = run.block, prepared.train.labels, model.get_layer("head")
    trained = optimizer.compiled(
        keras.Model(head.inputs, head.outputs),  # of the same layers: what is saved of `head` holds no optimizer
        keras.optimizers.Adam(block.head.learning_rate),
        block.label_smoothing,
    )
    phase = Phase(checkpoint, "head")
    if phase.next_epoch(block.head.epochs) == block.head.epochs:
        phase.restore(trained)
    else:
        images = prepared.train.images
        views = [images, images[:, :, ::-1]] if block.augmentation.flip else [images]
        inputs = features(model.get_layer("features"), views, checkpoint)
        batch_size = min(block.batch_size, len(labels))
        one_hot = np.eye(len(prepared.class_names), dtype=np.float32)
        orders = batches.shuffled(len(inputs), batch_size, run.seed, phase.next_epoch(block.head.epochs))
        head_batches = ((inputs[rows], one_hot[labels[rows % len(labels)]]) for rows, _ in orders)
        options = phase.options(block.head.epochs) | {
            "steps_per_epoch": len(inputs) // batch_size,
            "class_weight": optimizer.class_weight(block, labels),
        }
        with gradients.forgotten():
            trained.fit(batches.stream(head_batches), **options)
    if not np.isfinite(phase.history[-1]["loss"]):
        raise DivergedError(
            f"{run.block_name}.head.learning_rate is {block.head.learning_rate}, and the loss of the head is not "
            "finite; choose a lower rate"
        )


def features(extractor: keras.Model, views: Sequence[np.ndarray], checkpoint: Checkpoint | Unkept) -> np.ndarray:
    """(V N, F) float16: the backbone's features of each of the V views of N images.

    Half precision rounds to one part in 2048 and halves the memory. Kept with the checkpoint, one file per
    FEATURE_FILE images, so that a killed run computes none of them twice.
    """
    rows = np.empty((sum(map(len, views)), extractor.output_shape[-1]), np.float16)
    end = 0
    for number, view in enumerate(views):
        for start in range(0, len(view), FEATURE_FILE):
            name = f"features-{number}-{start:07d}"
            kept = checkpoint.read(name)
            if kept is None:
                kept = {"features": predict(extractor, view[start : start + FEATURE_FILE]).astype(np.float16)}
                checkpoint.write(name, **kept)
            begin, end = end, end + len(kept["features"])
            rows[begin:end] = kept["features"]
    return rows
