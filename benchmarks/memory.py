"""memory: what it gains and costs that training runs keep the memory which they free (`STUDY_KEEP_MEMORY`).

Trains models for the first steps of two epochs, kept and not kept, and prints a Markdown table. Fails if the bytes of
two models differ.
"""

import argparse
import shutil
from itertools import product
from pathlib import Path

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError

MODELS = ("cnn2", "cnn3_dropout", "resnet50")
STEPS = {"cnn2": 200, "cnn3_dropout": 200, "resnet50": 50}  # per epoch, at most
BATCH_SIZES = (32, 128)
EPOCHS = 2
VALIDATION_FRACTION = 0.1
PART = "part.npz"
SETTINGS = {"kept": {}, "returned": {runtime.KEEP_MEMORY: "0"}}
HEADER = ["model", "batch size", "images", "seconds", "of them in the kernel", "peak MB"]


def main() -> None:
    options = parse()
    print(workspace.row(HEADER) + "\n" + workspace.row(["---"] * len(HEADER)))
    with workspace.workspace() as folder:
        for images in options.images:
            workspace.apart(write_part, options.data, folder, images)
            workspace.change_params(folder, lambda content: workspace.use_npz(content, folder / PART))
            for module in ("stages.download", "stages.prepare"):
                workspace.run(folder, module)
            for model, batch_size in product(MODELS, BATCH_SIZES):
                block = {"epochs": EPOCHS, "batch_size": batch_size, "repeats": 1}
                workspace.change_params(folder, lambda content, m=model, b=block: content["models"][m].update(b))
                kept, returned = (train(folder, model, **setting) for setting in SETTINGS.values())
                cells = [f"{one} / {other}" for one, other in zip(kept, returned, strict=True)]
                print(workspace.row([model, batch_size, f"{images:,}", *cells]), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    parser.add_argument("--images", type=int, nargs="+", default=[1000], metavar="N", help="training images (1000)")
    return parser.parse_args()


def write_part(data: Path | None, folder: Path, count: int) -> None:
    arrays = workspace.images(data)
    if count > len(arrays["y_train"]):
        raise UserError(f"--images is {count}; allowed: up to {len(arrays['y_train'])}, the images that there are")
    workspace.write_share(folder / PART, arrays, slice(count), slice(None))


def train(folder: Path, model: str, **environment: str) -> tuple[str, str, str]:
    """Seconds, kernel seconds and peak MB. Raises UserError if the model differs from the one already there."""
    path = folder / f"models/{model}.keras"
    shutil.rmtree(folder / files.CHECKPOINTS, ignore_errors=True)  # else the second run takes what the first trained
    usage = workspace.run(folder, "benchmarks.first_steps", model, str(STEPS[model]), **environment)
    digest = path.with_suffix(".sha256")
    if environment and files.sha256(path) != digest.read_text(encoding="utf-8"):
        raise UserError(f"{model}: has other bytes where memory is returned")
    files.write_text(digest, files.sha256(path))
    return f"{usage.seconds:.1f}", f"{usage.kernel_seconds:.1f}", f"{usage.peak_mb:,.0f}"


if __name__ == "__main__":
    runtime.run(main)
