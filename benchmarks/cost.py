"""cost: how many seconds and how much memory the stages take, and what keeping freed memory gains.

Each stage runs in a process of its own, for several numbers of images: once as DVC runs it, and once with
STUDY_KEEP_MEMORY=0, so that it returns freed memory to the system. Both ways must write the same models.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results, workspace
from benchmarks.workspace import Usage
from study.base import files, runtime
from study.base.runtime import KEEP_MEMORY, UserError

STEPS = {"cnn2": 200, "resnet50": 30, "resnet101": 30}  # of each of two epochs, at most
RESNETS = {"resnet50": {"batch_size": 16}, "resnet101": {"batch_size": 4}}  # as `make cifar10` has them
MOST = 500  # images to validate and to test on: predicting them takes no more memory if there are more
KEPT, RETURNED = {KEEP_MEMORY: "1"}, {KEEP_MEMORY: "0"}
COLUMNS = ["stage", "images", "seconds", "in the kernel", "peak MB"]
COLUMNS += [f"memory returned: {column}" for column in COLUMNS[2:]]


def main() -> None:
    parser = results.parser("cost", __doc__, data=True)
    results.add_number(parser, "--images", [500, 1000], "training images", least=100)
    results.add_number(parser, "--image-size", 160, "pixels of a side for the ResNets")
    options = parser.parse_args()
    with results.page(options) as page, workspace.workspace() as folder:
        for model in STEPS:
            workspace.change_block(folder, model, epochs=2, repeats=1)
        for model, values in RESNETS.items():
            workspace.change_block(folder, model, weights=None, image_size=options.image_size, **values)
        page.table(COLUMNS, rows(folder, options.data, options.images))


def rows(folder: Path, data: Path | None, counts: list[int]) -> Iterator[list[str]]:
    for count in counts:
        validate_on_few(folder, count)
        workspace.use_images(folder, data, slice(count), slice(MOST))
        for stage in ("download", "eda", "prepare"):
            kept, returned = (workspace.run(folder, f"stages.{stage}", **setting) for setting in (KEPT, RETURNED))
            yield [stage, f"{count:,}", *cells(kept), *cells(returned)]
        for model, steps in STEPS.items():
            kept, model_kept = first_steps(folder, model, steps, KEPT)
            returned, model_returned = first_steps(folder, model, steps, RETURNED)
            if model_kept != model_returned:
                raise UserError(f"{model}: its file has other bytes if memory is returned")
            yield [f"train@{model}, 2 × {steps} steps", f"{count:,}", *cells(kept), *cells(returned)]
            kept, returned = (workspace.run(folder, "stages.evaluate", model, **each) for each in (KEPT, RETURNED))
            yield [f"evaluate@{model}", f"{count:,}", *cells(kept), *cells(returned)]


def validate_on_few(folder: Path, images: int) -> None:
    def change(content: dict) -> None:
        fraction = content["prepare"]["validation_fraction"]
        content["prepare"]["validation_fraction"] = min(fraction, MOST / images)

    workspace.change_params(folder, change)


def first_steps(folder: Path, model: str, steps: int, setting: dict[str, str]) -> tuple[Usage, str]:
    """What the first steps of a training run take, and the SHA-256 of its model."""
    shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)
    usage = workspace.run(folder, "benchmarks.first_steps", model, str(steps), **setting)
    return usage, files.sha256(folder / f"models/{model}.keras")


def cells(usage: Usage) -> list[str]:
    return [f"{usage.seconds:.1f}", f"{usage.kernel_seconds:.1f}", f"{usage.peak_mb:,.0f}"]


if __name__ == "__main__":
    runtime.run(main)
