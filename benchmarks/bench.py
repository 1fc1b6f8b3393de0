"""bench: train cnn2 by this pipeline and by the study's own loop, one after the other on this machine, and compare.

Prints a Markdown table and writes benchmarks/last.json. See benchmarks/README.md for what each number means.

All work is done in child processes, in a temporary folder that looks like the repository: each has a peak memory of its
own, and nothing is left behind. This process loads neither Keras nor the images, since a child's peak starts from its
parent's.
"""

import argparse
import importlib.metadata
import math
import os
import platform
import re
import resource
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import workspace
from stages.lib import errors, files
from stages.lib.errors import UserError

MODEL = "cnn2"
PACKAGES = ("keras", "tensorflow", "numpy")
LEAST_EPOCHS = 2  # the first one holds the compilation
STUDY_BATCH = 64
MATRIX_SIDE, MATRIX_REPEATS = 2048, 15

Record = dict[str, Any]


def main() -> None:
    options = parse()
    if options.role:
        files.write_json(f"{options.role}.json", ROLES[options.role](options))
        return
    if min(options.notebook_epochs, *(value for value in (options.epochs, options.images) if value is not None), 1) < 1:
        raise UserError("--epochs, --notebook-epochs and --images allow 1 or more")
    roles = [role for role in ROLES if options.bfloat16 or role != "bfloat16"]
    with workspace.workspace() as folder:
        record = {"machine": machine(), "target": options.target}
        record |= {role: child(role, options, folder) for role in roles}
    for role in WAYS.keys() & record.keys():
        way = record[role]
        used = way["images_per_second"] * record["limit"]["training_gflop_per_image"]
        limit = record["limit"]["bfloat16_gflop_per_second" if role == "bfloat16" else "gflop_per_second"]
        way["share_of_limit"] = round(used / limit, 4)
        way["ratio"] = ratios(way, record["notebook"])
    files.write_json(workspace.ROOT / "benchmarks" / "last.json", record)
    print(table(record))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("role", nargs="?", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), metavar="PATH.npz", help="images to train on")
    parser.add_argument("--target", type=float, default=0.975, help="validation ROC-AUC to reach (%(default)s)")
    parser.add_argument("--epochs", type=int, metavar="N", help="of ours, the whole schedule (the block's)")
    parser.add_argument("--notebook-epochs", type=int, default=20, metavar="N", help="at most (%(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="train ours with precision mixed_bfloat16, too")
    parser.add_argument("--images", type=int, metavar="N", help="use the first N training images only")
    return parser.parse_args()


def child(role: str, options: argparse.Namespace, folder: Path) -> Record:
    """The result of one role, from a process of its own."""
    given = {name: value for name, value in vars(options).items() if value is not None and value is not False}
    flags = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in given.items()]
    workspace.run(folder, "benchmarks.bench", role, *flags)
    return files.read_json(folder / f"{role}.json", dict)


def data(options: argparse.Namespace) -> Record:
    """Get the images, and split them as the pipeline's own stage does."""
    from stages import prepare
    from stages.lib import dataset

    checked = workspace.images(options.data)
    first = {key: checked[key][: options.images] for key in ("x_train", "y_train")}
    files.write_npz(dataset.RAW, **checked | first)
    prepare.main()
    prepared = dataset.read_prepared()
    source = options.data.name if options.data else "synthetic"
    return {"source": source, "train_images": len(prepared.train), "validation_images": len(prepared.validation)}


def ours(options: argparse.Namespace, **changes) -> Record:
    """The pipeline's own training, by the model's block in params.yaml with some knobs changed."""
    from stages.lib import architectures, params, training

    seed, block = params.load("seed", f"models.{MODEL}")
    block = params.override(block, changes, "bench")
    run = training.start(MODEL, block, seed, epochs=options.epochs)
    batch_size = min(block.batch_size, len(run.prepared.train))
    build = architectures.build_of(MODEL)
    watch = stopwatch(run.prepared.validation, options.target)
    training.ValidationScores = lambda validation: watch  # `fit` makes one of its own
    training.fit(build, run)
    return watch.result(len(run.prepared.train) // batch_size * batch_size)


def bfloat16(options: argparse.Namespace) -> Record:
    return ours(options, precision="mixed_bfloat16")


def notebook(options: argparse.Namespace) -> Record:
    """The study's loop: plain Keras layers, and Keras' legacy generator of augmented images."""
    import keras
    import numpy as np
    from keras import layers
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    from stages.lib import dataset, params
    from stages.lib.dataset import Split

    seed, prepared = params.load("seed"), dataset.read_prepared()
    keras.utils.set_random_seed(seed)
    classes = len(prepared.class_names)
    train, validation = (
        Split(split.images.astype(np.float32) / 255, split.labels) for split in (prepared.train, prepared.validation)
    )
    watch = stopwatch(validation, options.target)
    network = [keras.Input(prepared.image_shape)]
    for filters in (64, 128):
        network += [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)]
    network += [layers.Flatten(), layers.Dense(256), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([*network, layers.Dense(classes, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.001), loss="categorical_crossentropy", metrics=["accuracy"])
    augmented = ImageDataGenerator(
        rotation_range=20, zoom_range=0.2, width_shift_range=3 / 32, height_shift_range=3 / 32, horizontal_flip=True
    ).flow(train.images, keras.utils.to_categorical(train.labels, classes), batch_size=STUDY_BATCH, seed=seed)
    model.fit(augmented, epochs=options.notebook_epochs, callbacks=[watch], verbose=2)
    return watch.result(len(train))


def limit(options: argparse.Namespace) -> Record:
    """What a large float32 matrix product attains here, and the arithmetic of one image's training step.

    The forward pass of a layer multiplies and adds once for each weight at each place of its output; the backward pass
    does so twice, for the gradients of weights and of inputs, of which the first layer needs the weights' alone.
    """
    import keras

    from stages.lib import architectures, params, training

    seed, block = params.load("seed", f"models.{MODEL}")
    model = architectures.build_of(MODEL)(training.start(MODEL, block, seed))
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    forward = [2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in weighted]

    rates = {}
    for dtype in ("float32", "bfloat16") if options.bfloat16 else ("float32",):
        left, right = (
            keras.random.uniform((MATRIX_SIDE, MATRIX_SIDE), dtype=dtype, seed=seed + number) for number in range(2)
        )
        rates[dtype] = []
        for _ in range(MATRIX_REPEATS + 1):
            start = time.perf_counter()
            keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.matmul(left, right)[0, 0], "float32"))
            rates[dtype].append(2 * MATRIX_SIDE**3 / (time.perf_counter() - start) / 1e9)
    medians = {dtype: round(statistics.median(found[1:]), 2) for dtype, found in rates.items()}
    return {
        "gflop_per_second": medians["float32"],
        "bfloat16_gflop_per_second": medians.get("bfloat16"),
        "training_gflop_per_image": (3 * sum(forward) - forward[0]) / 1e9,
    }


ROLES = {"data": data, "ours": ours, "bfloat16": bfloat16, "notebook": notebook, "limit": limit}
WAYS = {"ours": "ours", "bfloat16": "ours, bfloat16", "notebook": "notebook"}


def stopwatch(validation, target: float):
    """The pipeline's validation callback, with a clock that starts now; ends the training once `target` is reached."""
    from stages.lib import training

    class Stopwatch(training.ValidationScores):
        def __init__(self):
            super().__init__(validation)
            self.step_seconds, self.roc_auc = [], []
            self.started, self.reached = time.perf_counter(), None

        def on_epoch_begin(self, epoch: int, logs=None) -> None:
            self.epoch_started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            self.step_seconds.append(time.perf_counter() - self.epoch_started)
            super().on_epoch_end(epoch, logs)
            self.roc_auc.append(logs["val_roc_auc"])
            if self.reached is None and self.roc_auc[-1] >= target:
                self.reached = round(time.perf_counter() - self.started, 2)
            if self.reached is not None and len(self.roc_auc) >= LEAST_EPOCHS:
                self.model.stop_training = True

        def result(self, images: int) -> Record:
            """`images` is how many of them an epoch trains on."""
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * workspace.MAXRSS_UNIT
            return {
                "images_per_second": round(images / statistics.median(self.step_seconds[1:] or self.step_seconds), 1),
                "seconds_to_target": self.reached,
                "peak_memory_mb": round(peak / 1e6),
                "validation_roc_auc": [round(value, 6) for value in self.roc_auc],
            }

    return Stopwatch()


def machine() -> Record:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text(encoding="utf-8") if info.is_file() else "")
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), **versions}


def ratios(ours: Record, notebook: Record) -> Record:
    """How many times better ours is than the notebook's loop; None where either has no number."""
    pairs = {"images_per_second": (ours, notebook)}
    pairs |= {key: (notebook, ours) for key in ("seconds_to_target", "peak_memory_mb")}
    return {
        key: None if None in (over[key], under[key]) else round(over[key] / under[key], 2)
        for key, (over, under) in pairs.items()
    }


def table(record: Record) -> str:
    ways = {role: record[role] for role in WAYS if role in record}

    def row(name: str, key: str, form: str) -> str:
        cells = []
        for role, way in ways.items():
            found = way["ratio"].get(key)
            times = f" ({found:.2f})" if found and role != "notebook" else ""
            missed = f"not reached in {len(way['validation_roc_auc'])} epochs"
            cells.append(missed if way[key] is None else f"{way[key]:{form}}{times}")
        return f"| {name} | {' | '.join(cells)} |"

    images, measured, on = record["data"], record["limit"], record["machine"]
    bfloat16 = measured["bfloat16_gflop_per_second"]
    return f"""| (times better than notebook) | {" | ".join(WAYS[role] for role in ways)} |
|---|{"---|" * len(ways)}
{row("images/s", "images_per_second", ",.0f")}
{row("share of the matrix product's rate", "share_of_limit", ".1%")}
{row(f"seconds to validation ROC-AUC {record['target']}", "seconds_to_target", ",.1f")}
{row("peak memory, MB", "peak_memory_mb", ",")}

Images: {images["source"]}, {images["train_images"]} for training, {images["validation_images"]} for validation.
Matrix product: {measured["gflop_per_second"]:.0f} GFLOP/s{f", in bfloat16 {bfloat16:.0f}" if bfloat16 else ""}; \
a training step: {measured["training_gflop_per_image"]:.4f} GFLOP an image.
Machine: {on["processor"]}, {on["cores"]} cores; {", ".join(f"{package} {on[package]}" for package in PACKAGES)}."""


if __name__ == "__main__":
    errors.run(main)
