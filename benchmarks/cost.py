"""cost: how many seconds and how much memory the stages take, for several numbers of images."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results, workspace
from study.base import files, runtime

STEPS = {"cnn2": 200, "resnet50": 30, "resnet101": 30}  # of each epoch, at most
EPOCHS = 2
RESNETS = {"resnet50": {"batch_size": 16}, "resnet101": {"batch_size": 4}}  # as the study imagenet has them
MOST = 500  # images to validate and to test on: predicting more of them takes no more memory
STAGES = {stage: [f"stages.{stage}"] for stage in ("download", "eda", "prepare")}
for model, steps in STEPS.items():
    STAGES[f"train@{model}, {EPOCHS} × {steps} steps"] = ["benchmarks.first_steps", model, str(steps)]
    STAGES[f"evaluate@{model}"] = ["stages.evaluate", model]
COLUMNS = ["stage", "images", "seconds", "in the kernel", "peak MB"]


def main() -> None:
    parser = results.parser("cost", __doc__, data=True)
    results.add_number(parser, "--images", [500, 1000], "training images", least=100)
    results.add_number(parser, "--image-size", 160, "pixels of a side for the ResNets")
    options = parser.parse_args()
    with results.page(options) as page, workspace.workspace() as folder:
        for model in STEPS:
            workspace.change_block(folder, model, epochs=EPOCHS, repeats=1)
        for model, values in RESNETS.items():
            workspace.change_block(folder, model, weights=None, image_size=options.image_size, **values)
        page.table(COLUMNS, rows(folder, options.data, options.images))


def rows(folder: Path, data: Path | None, counts: list[int]) -> Iterator[list[str]]:
    for count in counts:
        few = {"validation_fraction": min(0.1, MOST / count)}
        workspace.change_params(folder, lambda content, few=few: content["prepare"].update(few))
        workspace.use_images(folder, data, slice(count), slice(MOST))
        for stage, module in STAGES.items():
            shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)  # so that it starts anew
            usage = workspace.run(folder, *module)
            peak = f"{usage.peak_mb:,.0f}"
            yield [stage, f"{count:,}", f"{usage.seconds:.1f}", f"{usage.kernel_seconds:.1f}", peak]


if __name__ == "__main__":
    runtime.run(main)
