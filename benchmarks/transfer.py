"""transfer: does `weights: PATH` pay, and the features kept of the frozen backbone?

Trains a ResNet50 on part of the images, saves its backbone in the layout that `weights` takes, and trains the same
model on 2,000 other images twice, from these weights and from none. Prints Markdown. See benchmarks/README.md.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

import keras

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError
from study.data.arrays import read_prepared
from study.model_files import keras_file
from study.models.common import scripts
from study.params.load import load
from study.scoring.scores import Scores
from study.training import batches, optimizer, transfer
from study.training.fit import start

MODEL = "resnet50"
OTHERS = 2000
FINE_TUNING_RATE = 0.0001


def main() -> None:
    options = parse()
    arrays = workspace.images(options.data)
    count = len(arrays["x_train"])
    if count <= OTHERS:
        raise UserError(f"{options.data} has {count} training images; allowed: more than {OTHERS}")
    if not 0 < options.images <= count - OTHERS:
        raise UserError(f"--images is {options.images}; allowed: 1 to {count - OTHERS}, {OTHERS} less than there are")
    runtime.use_threads(load("threads").threads)
    with workspace.workspace() as folder:
        weights = pretrain(folder, arrays, options)
        others = workspace.write_share(
            folder / "others.npz", arrays, slice(options.images, options.images + OTHERS), slice(None)
        )

        def start_from(weights: Path | None):
            def change(content: dict) -> None:
                workspace.use_npz(content, others)
                block = {"weights": weights and str(weights), "epochs": options.epochs, "batch_size": 32}
                if weights:  # a rate that suits random weights destroys these
                    block["learning_rate"] = FINE_TUNING_RATE
                content["models"][MODEL].update(block, image_size=options.image_size)

            workspace.change_params(folder, change)

        start_from(None)
        for module in ("stages.download", "stages.prepare"):
            workspace.run(folder, module)
        none = scores(folder)
        start_from(weights)
        transferred = scores(folder)
        with contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
            kept, repeated = frozen_phase()
    print(f"""| {MODEL} on {OTHERS:,} images | test ROC-AUC | 95 % interval | accuracy |
|---|---|---|---|
{row(f"from weights made of {options.images:,} others: head, then {options.epochs} epochs", transferred)}
{row(f"from none: {options.epochs} epochs", none)}

Frozen phase: features kept {kept:.1f} s, backbone run every epoch {repeated:.1f} s, ratio {repeated / kept:.1f}.""")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="PATH.npz", help="images")
    parser.add_argument("--images", type=int, default=20_000, metavar="N", help="to make the weights of (%(default)s)")
    parser.add_argument("--pretraining-epochs", type=int, default=6, metavar="N", help="on those (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="on the other images (%(default)s)")
    parser.add_argument("--image-size", type=int, default=32, metavar="PX", help="(%(default)s)")
    return parser.parse_args()


def pretrain(folder: Path, arrays: dict, options: argparse.Namespace) -> Path:
    """Train the whole network on the first images by the stage's own code; return its backbone's weights."""
    path = workspace.write_share(folder / "first.npz", arrays, slice(options.images), slice(None))

    def change(content: dict) -> None:
        workspace.use_npz(content, path)
        block = {"weights": None, "epochs": options.pretraining_epochs, "batch_size": 64, "mirror_average": False}
        content["models"][MODEL].update(block, image_size=options.image_size)

    workspace.change_params(folder, change)
    for module in ("stages.download", "stages.prepare", f"stages.train.{MODEL}"):
        workspace.run(folder, module)
    weights = folder / "backbone.weights.h5"
    model = keras_file.read(folder / f"models/{MODEL}.keras")
    model.get_layer("features").get_layer("backbone").save_weights(weights)
    return weights


def scores(folder: Path) -> Scores:
    """Train and evaluate by the stages; the scores on the test split."""
    workspace.run(folder, f"stages.train.{MODEL}")
    workspace.run(folder, "stages.evaluate", MODEL)
    return files.read_json(folder / f"metrics/test/{MODEL}.json", Scores)


def frozen_phase() -> tuple[float, float]:
    """Seconds of the head's epochs on the kept features, and of as many with the backbone run each time."""
    params = load("seed", f"models.{MODEL}")
    block = params.models[MODEL]
    run = start("frozen", block, params.seed, read_prepared())
    train, classes = run.prepared.train, len(run.prepared.class_names)
    keras.utils.set_random_seed(run.seed)
    model = scripts.architecture(MODEL).build(block, run.prepared.image_shape, classes)

    started = time.perf_counter()
    transfer.fit_head(model, run)
    kept = time.perf_counter() - started

    model.get_layer("features").trainable = False
    optimizer.compiled(model, keras.optimizers.Adam(block.head.learning_rate), block.label_smoothing)
    images = batches.augmented(train, classes, block.batch_size, block.augmentation, run.seed)
    steps = 2 * len(train) // block.batch_size  # each image and a mirror image, as above
    started = time.perf_counter()
    model.fit(batches.stream(images), steps_per_epoch=steps, epochs=block.head.epochs, shuffle=False, verbose=0)
    return kept, time.perf_counter() - started


def row(name: str, scores: Scores) -> str:
    low, high = scores["roc_auc_low"], scores["roc_auc_high"]
    return f"| {name} | {scores['roc_auc']:.4f} | {low:.4f} – {high:.4f} | {scores['accuracy']:.3f} |"


if __name__ == "__main__":
    runtime.run(main)
