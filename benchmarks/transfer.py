"""transfer: how much a ResNet50 gains from pretrained weights.

Trains it from scratch on some images and saves its backbone in the layout that the param `weights` takes. Then trains
it on 2,000 other images twice: from these weights, and from none. One seed, without the mirror average.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results, workspace
from study.base import runtime
from study.base.runtime import UserError
from study.model_files import keras_file

MODEL = "resnet50"
OTHERS = 2000
FINE_TUNING_RATE = 0.0001  # a rate that suits random weights destroys pretrained ones
WEIGHTS = "backbone.weights.h5"


def main() -> None:
    parser = results.parser("transfer", __doc__, data=True)
    results.add_number(parser, "--images", 20_000, "training images to make the weights of")
    results.add_number(parser, "--pretraining-epochs", 6, "epochs on those")
    results.add_number(parser, "--epochs", 3, "epochs on the other images")
    results.add_number(parser, "--image-size", 32, "pixels of a side")
    options = parser.parse_args()
    if options.data is None:
        raise UserError("--data is missing; the images drawn by code are too few to make weights of")
    with results.page(options) as page, workspace.workspace() as folder:
        page.table(
            [f"{MODEL} on {OTHERS:,} images", "test ROC-AUC", "95 % interval", "accuracy"], rows(folder, options)
        )


def rows(folder: Path, options: Namespace) -> Iterator[list[str]]:
    block = {"repeats": 1, "weights": None, "mirror_average": False, "image_size": options.image_size}
    workspace.change_block(folder, MODEL, **block, epochs=options.pretraining_epochs, batch_size=64)
    workspace.use_images(folder, options.data, slice(options.images))
    workspace.train(folder, MODEL)
    workspace.apart(save_backbone, folder)

    workspace.change_block(folder, MODEL, epochs=options.epochs, batch_size=32)
    workspace.use_images(folder, options.data, slice(options.images, options.images + OTHERS))
    yield [f"{options.epochs} epochs from random weights", *scores(folder)]
    workspace.change_block(folder, MODEL, weights=str(folder / WEIGHTS), learning_rate=FINE_TUNING_RATE)
    yield [f"the head, then {options.epochs} epochs from weights of {options.images:,} images", *scores(folder)]


def save_backbone(folder: Path) -> None:
    model = keras_file.read(folder / f"models/{MODEL}.keras")
    model.get_layer("features").get_layer("backbone").save_weights(folder / WEIGHTS)


def scores(folder: Path) -> list[str]:
    """Train and evaluate by the stages."""
    workspace.train(folder, MODEL)
    record = workspace.evaluate(folder, MODEL)
    interval = f"{record['roc_auc_low']:.4f} – {record['roc_auc_high']:.4f}"
    return [f"{record['roc_auc']:.4f}", interval, f"{record['accuracy']:.3f}"]


if __name__ == "__main__":
    runtime.run(main)
