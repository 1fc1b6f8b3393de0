"""bench: how much faster this pipeline trains cnn2 than the loop of the study's notebook.

Trains the same network in both ways, one after the other, on the images that `prepare` leaves. "ours" is the stage
train@cnn2; "notebook" is plain Keras layers and Model.fit with Keras' image generator. They differ in rate, schedule,
decay, batch size and augmentation too, so images/s compares the speed of an epoch with its validation, and seconds to
the target, imports included, compare the recipes. Peak memory is what was resident in a process, in 10⁶ bytes. This
process loads neither Keras nor the images, since a child's peak memory starts from its parent's.
"""

import statistics
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import results, workspace
from benchmarks.workspace import Usage
from study.base import runtime
from study.data import arrays

MODEL = "cnn2"
COLUMNS = ["", "images/s", "times the notebook's", "seconds to the target", "times sooner", "peak MB"]


@dataclass(frozen=True)
class Way:
    """One way to train, as it went."""

    name: str
    usage: Usage
    history: list[dict[str, float]]
    images: int  # that an epoch trains on

    @property
    def images_per_second(self) -> float:
        """With validation, and without the first epoch, which holds the compilation."""
        return self.images / statistics.median(later - end for end, later in pairwise(self.usage.epoch_ends))

    def seconds_to(self, target: float) -> float:
        """From the start of the process to the end of the first epoch that reaches it; infinite if none does."""
        epochs = zip(self.usage.epoch_ends, self.history, strict=True)
        return next((end for end, row in epochs if row["val_roc_auc"] >= target), np.inf)


def main() -> None:
    parser = results.parser("bench", __doc__, data=True)
    results.add_number(parser, "--images", None, "train on the first N training images")
    results.add_number(parser, "--epochs", None, "epochs of the pipeline's schedule; without it the block's", least=2)
    results.add_number(parser, "--notebook-epochs", 20, "most epochs of the notebook's loop", least=2)
    parser.add_argument("--target", type=float, default=0.975, help="validation ROC-AUC to reach (default %(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="train with precision mixed_bfloat16, too")
    options = parser.parse_args()
    with results.page(options) as page, workspace.workspace(workspace.params_for(options.data)) as folder:
        workspace.use_images(folder, options.data, slice(options.images))
        workspace.change_block(folder, MODEL, repeats=1, **({"epochs": options.epochs} if options.epochs else {}))
        ways = list(trained(folder, options))
        page.text(f"{ways[-1].images:,} training images; the target is a validation ROC-AUC of {options.target}.")
        page.table(COLUMNS, (row(way, ways[-1], options.target) for way in ways))


def trained(folder: Path, options: Namespace) -> Iterator[Way]:
    """Ours in one precision or two, then the notebook's."""
    images = len(np.load(folder / arrays.PREPARED)["y_train"])
    for precision in ("float32", "mixed_bfloat16") if options.bfloat16 else ("float32",):
        workspace.change_block(folder, MODEL, precision=precision)
        usage, record = workspace.train(folder, MODEL)
        yield Way(f"ours, {precision}", usage, record["history"], images)
    command = ["benchmarks.notebook", f"--target={options.target}", f"--epochs={options.notebook_epochs}"]
    usage = workspace.run(folder, *command)
    yield Way("notebook", usage, workspace.record(folder, "notebook.json")["history"], images)


def row(way: Way, notebook: Way, target: float) -> list[str]:
    seconds, other = way.seconds_to(target), notebook.seconds_to(target)
    return [
        way.name,
        f"{way.images_per_second:,.0f}",
        f"{way.images_per_second / notebook.images_per_second:.2f}",
        f"{seconds:,.1f}" if np.isfinite(seconds) else f"not in {len(way.history)} epochs",
        f"{other / seconds:.2f}" if np.isfinite(other) and np.isfinite(seconds) else "–",
        f"{way.usage.peak_mb:,.0f}",
    ]


if __name__ == "__main__":
    runtime.run(main)
