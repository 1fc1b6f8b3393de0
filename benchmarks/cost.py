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

STEPS = {"cnn2": 200, "resnet50": 30, "resnet101": 30}  # of each epoch, at most
EPOCHS = 2
RESNETS = {"resnet50": {"batch_size": 16}, "resnet101": {"batch_size": 4}}  # as the study imagenet has them
MOST = 500  # images to validate and to test on: predicting more of them takes no more memory
STAGES = {stage: [f"stages.{stage}"] for stage in ("download", "eda", "prepare")}
for model, steps in STEPS.items():
    STAGES[f"train@{model}, {EPOCHS} × {steps} steps"] = ["benchmarks.first_steps", model, str(steps)]
    STAGES[f"evaluate@{model}"] = ["stages.evaluate", model]
COLUMNS = ["stage", "images", "seconds", "in the kernel", "peak MB"]
COLUMNS += [f"memory returned: {column}" for column in COLUMNS[2:]]


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
            (kept, models), (returned, others) = (measured(folder, module, keep) for keep in ("1", "0"))
            if models != others:
                raise UserError(f"{stage}: a model has other bytes if memory is returned")
            yield [stage, f"{count:,}", *cells(kept), *cells(returned)]


def measured(folder: Path, module: list[str], keep: str) -> tuple[Usage, dict[str, str]]:
    """What a module takes that starts anew, and the SHA-256 of each model after it."""
    shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)
    usage = workspace.run(folder, *module, **{KEEP_MEMORY: keep})
    return usage, {path.name: files.sha256(path) for path in folder.glob("models/*.keras")}


def cells(usage: Usage) -> list[str]:
    return [f"{usage.seconds:.1f}", f"{usage.kernel_seconds:.1f}", f"{usage.peak_mb:,.0f}"]


if __name__ == "__main__":
    runtime.run(main)
