"""loops: what bench runs in processes of their own: a training, by the pipeline or by the study's loop, or the limit.

Runs in a workspace: reads data/prepared.npz and the params `seed`, `threads` and `models.cnn2`; writes ROLE.json.
"""

import argparse
import contextlib
import math
import resource
import statistics
import time
from typing import Any

import keras
import numpy as np
from keras import layers
from tensorflow.keras.preprocessing.image import ImageDataGenerator

from benchmarks import workspace
from study.base import files, runtime
from study.data.arrays import Split, read_prepared
from study.models.common import scripts
from study.params.load import load
from study.params.schema import override
from study.training.fit import ScoreValidation, fit, start

MODEL = "cnn2"
LEAST_EPOCHS = 2  # the first one holds the compilation
STUDY_BATCH = 64
MATRIX_SIDE, MATRIX_REPEATS = 2048, 15

Record = dict[str, Any]


def main() -> None:
    options = parse()
    runtime.use_threads(load("threads").threads)
    files.write_json(f"{options.role}.json", ROLES[options.role](options))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--target", type=float, help="validation ROC-AUC that ends a training")
    parser.add_argument("--epochs", type=int, help="at most; of ours, the whole schedule")
    parser.add_argument("--bfloat16", action="store_true", help="take the rate of a product in bfloat16, too")
    return parser.parse_args()


def ours(options: argparse.Namespace, **changes) -> Record:
    """The pipeline's own training, by the model's block in params.yaml with some params changed."""
    params = load("seed", f"models.{MODEL}")
    block = override(params.models[MODEL], changes, "benchmarks.loops")
    run = start(MODEL, block, params.seed, read_prepared(), options.epochs)
    batch_size = min(block.batch_size, len(run.prepared.train))
    architecture = scripts.architecture(MODEL)
    watch = Stopwatch(options.target)
    with contextlib.suppress(TargetReached):
        fit(architecture, run, watch.on_epoch, [watch.clock()])
    return watch.result(len(run.prepared.train) // batch_size * batch_size)


def bfloat16(options: argparse.Namespace) -> Record:
    return ours(options, precision="mixed_bfloat16")


def notebook(options: argparse.Namespace) -> Record:
    """The study's loop: plain Keras layers, and Keras' legacy generator of augmented images."""
    seed, prepared = load("seed").seed, read_prepared()
    keras.utils.set_random_seed(seed)
    classes = len(prepared.class_names)
    train, validation = (
        Split(split.images.astype(np.float32) / 255, split.labels) for split in (prepared.train, prepared.validation)
    )
    watch = Stopwatch(options.target)
    network = [keras.Input(prepared.image_shape)]
    for filters in (64, 128):
        network += [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)]
    network += [layers.Flatten(), layers.Dense(256), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([*network, layers.Dense(classes, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.001), loss="categorical_crossentropy", metrics=["accuracy"])
    augmented = ImageDataGenerator(
        rotation_range=20, zoom_range=0.2, width_shift_range=3 / 32, height_shift_range=3 / 32, horizontal_flip=True
    ).flow(train.images, keras.utils.to_categorical(train.labels, classes), batch_size=STUDY_BATCH, seed=seed)
    validate = ScoreValidation(validation)  # adds its scores to what the callbacks after it are given
    check = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: watch.on_epoch(logs))
    with contextlib.suppress(TargetReached):
        model.fit(augmented, epochs=options.epochs, callbacks=[watch.clock(), validate, check], verbose=2)
    return watch.result(len(train))


def limit(options: argparse.Namespace) -> Record:
    """What a large float32 matrix product attains here, and the arithmetic of one image's training step.

    The forward pass of a layer multiplies and adds once for each weight at each place of its output; the backward pass
    does so twice, for the gradients of weights and of inputs, of which the first layer needs the weights' alone.
    """
    params, prepared = load("seed", f"models.{MODEL}"), read_prepared()
    classes = len(prepared.class_names)
    model = scripts.architecture(MODEL).build(params.models[MODEL], prepared.image_shape, classes)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    forward = [2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in weighted]

    rates = {}
    for dtype in ("float32", "bfloat16") if options.bfloat16 else ("float32",):
        left, right = (
            keras.random.uniform((MATRIX_SIDE, MATRIX_SIDE), dtype=dtype, seed=params.seed + number)
            for number in range(2)
        )
        rates[dtype] = []
        for _ in range(MATRIX_REPEATS + 1):
            started = time.perf_counter()
            keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.matmul(left, right)[0, 0], "float32"))
            rates[dtype].append(2 * MATRIX_SIDE**3 / (time.perf_counter() - started) / 1e9)
    medians = {dtype: round(statistics.median(found[1:]), 2) for dtype, found in rates.items()}
    return {
        "gflop_per_second": medians["float32"],
        "bfloat16_gflop_per_second": medians.get("bfloat16"),
        "training_gflop_per_image": (3 * sum(forward) - forward[0]) / 1e9,
    }


ROLES = {"ours": ours, "bfloat16": bfloat16, "notebook": notebook, "limit": limit}


class TargetReached(Exception):  # noqa: N818 (it is no error)
    """Ends a training that has reached the target."""


class Stopwatch:
    """Times one training, from now on, and its way to a validation ROC-AUC of `target`."""

    def __init__(self, target: float):
        self.target = target
        self.step_seconds: list[float] = []  # of each epoch
        self.roc_auc: list[float] = []  # after each epoch
        self.seconds_to_target: float | None = None
        self.started = time.perf_counter()

    def clock(self) -> keras.callbacks.Callback:
        """The Keras callback that times the steps of each epoch; it must be called before validation."""

        def on_epoch_begin(epoch: int, logs=None) -> None:
            self.epoch_started = time.perf_counter()

        def on_epoch_end(epoch: int, logs=None) -> None:
            self.step_seconds.append(time.perf_counter() - self.epoch_started)

        return keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_epoch_end=on_epoch_end)

    def on_epoch(self, row: dict[str, float]) -> None:
        """Take the scores of an epoch. Raises TargetReached once one has reached it, after LEAST_EPOCHS at least."""
        self.roc_auc.append(row["val_roc_auc"])
        if self.seconds_to_target is None and self.roc_auc[-1] >= self.target:
            self.seconds_to_target = round(time.perf_counter() - self.started, 2)
        if self.seconds_to_target is not None and len(self.roc_auc) >= LEAST_EPOCHS:
            raise TargetReached

    def result(self, images: int) -> Record:
        """The numbers of the training; `images` is how many of them an epoch trains on."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * workspace.MAXRSS_UNIT
        return {
            "images_per_second": round(images / statistics.median(self.step_seconds[1:] or self.step_seconds), 1),
            "seconds_to_target": self.seconds_to_target,
            "peak_memory_mb": round(peak / 1e6),
            "validation_roc_auc": [round(value, 6) for value in self.roc_auc],
        }


if __name__ == "__main__":
    runtime.run(main)
