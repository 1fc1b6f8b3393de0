"""cost: seconds and peak memory of getting, training and scoring, on some images and on twice as many.

Prints a Markdown table. See benchmarks/README.md for what each number means.
"""

import argparse
from pathlib import Path

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError
from study.scoring import predict

ALL, PART = "all.npz", "part.npz"
LEAST = 400  # images: enough for every class to stand in the validation split of half of them
LEAST_TEST = 4 * predict.BATCH  # two batches or more, and two images or more of every class
LEAST_VALIDATION = 40  # images: two or more of every class, although classes are drawn
IMAGE_SIZE = 160
Stages = tuple[tuple[str, ...], ...]
STAGES: Stages = (
    ("download", "stages.download"),
    ("eda", "stages.eda"),
    ("prepare", "stages.prepare"),
    ("train@cnn2", "stages.train.cnn2"),
    ("evaluate@cnn2", "stages.evaluate", "cnn2"),
)
RESNETS = {"resnet50": {"batch_size": 16}, "resnet101": {"batch_size": 4}}  # as `make cifar10` has them
BEFORE = ("stages.download", "stages.prepare")
FIRST_STEPS = 30  # of a ResNet on all images: its memory, without the time of a whole epoch
VALIDATION_IMAGES = 500  # at most, that such a run validates on


def main() -> None:
    options = parse()
    with workspace.workspace(one_epoch) as folder:
        workspace.apart(write_images, options.data, folder)
        images = len(files.read_npz(folder / ALL, "y_train")["y_train"])
        if images < LEAST:
            raise UserError(f"there are {images} training images; allowed: {LEAST} or more")
        most = options.resnet_images
        if not LEAST <= most <= images:
            raise UserError(f"--resnet-images is {most}; allowed: {LEAST} to {images}, the images that there are")
        rows = table(images, *(measure(folder, count, (), STAGES) for count in (images // 2, images)))
        for name in RESNETS:
            workspace.apart(write_weights, name, options.image_size, folder)
            workspace.change_params(folder, lambda content, name=name: transfer(content, name, options.image_size))
            stages = ((f"train@{name}", f"stages.train.{name}"), (f"evaluate@{name}", "stages.evaluate", name))
            rows += table(most, *(measure(folder, count, BEFORE, stages) for count in (most // 2, most)))
        workspace.change_params(folder, lambda content: cut(content, options.image_size, images))
        first = tuple(
            (f"train@{name}, {FIRST_STEPS} steps", "benchmarks.first_steps", name, str(FIRST_STEPS)) for name in RESNETS
        )
        rows += table(images, *(measure(folder, count, BEFORE, first) for count in (images // 2, images)))
    print("| stage | images | seconds | peak MB | twice: seconds | twice: more MB |\n|---|---|---|---|---|---|")
    print("\n".join(rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    parser.add_argument("--resnet-images", type=int, default=400, metavar="N", help="for the ResNets (%(default)s)")
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE, metavar="PX", help="of the ResNets (%(default)s)")
    return parser.parse_args()


def one_epoch(content: dict) -> None:
    for block in content["models"].values():
        block["epochs"] = 1


def transfer(content: dict, name: str, image_size: int) -> None:
    """From weights, so that the frozen phase and fine-tuning both run."""
    content["models"][name].update(image_size=image_size, weights=f"{name}.weights.h5", **RESNETS[name])


def cut(content: dict, image_size: int, images: int) -> None:
    """Whole networks from random weights, validated on few images: what runs of the first steps alone train."""
    fraction = content["prepare"]["validation_fraction"]
    content["prepare"]["validation_fraction"] = min(fraction, VALIDATION_IMAGES / images)
    for name, knobs in RESNETS.items():
        content["models"][name].update(image_size=image_size, weights=None, **knobs)


def write_weights(name: str, image_size: int, folder: Path) -> None:
    """Random weights of a backbone: their values cost neither time nor memory."""
    import keras

    backbone = {"resnet50": keras.applications.ResNet50, "resnet101": keras.applications.ResNet101}[name]
    shape = (image_size, image_size, 3)
    backbone(weights=None, include_top=False, input_shape=shape).save_weights(folder / f"{name}.weights.h5")


def write_images(data: Path | None, folder: Path) -> None:
    files.write_npz(folder / ALL, **workspace.images(data))


def write_part(folder: Path, count: int) -> None:
    """The first `count` training images and as large a share of the test images."""
    arrays = files.read_npz(folder / ALL)
    test = max(LEAST_TEST, count * len(arrays["x_test"]) // len(arrays["x_train"]))
    workspace.write_share(folder / PART, arrays, slice(count), slice(test))


def measure(folder: Path, count: int, before: tuple[str, ...], stages: Stages) -> dict[str, workspace.Usage]:
    """Run the modules `before`, then the stages, these measured, on the first `count` training images."""
    workspace.apart(write_part, folder, count)

    def use_part(content: dict) -> None:
        workspace.use_npz(content, folder / PART)
        fraction = content["prepare"]["validation_fraction"]
        content["prepare"]["validation_fraction"] = max(fraction, LEAST_VALIDATION / count)

    workspace.change_params(folder, use_part)
    for module in before:
        workspace.run(folder, module)
    return {name: workspace.run(folder, *module) for name, *module in stages}


def table(count: int, half: dict[str, workspace.Usage], whole: dict[str, workspace.Usage]) -> list[str]:
    return [
        f"| {name} | {count:,} | {whole[name].seconds:,.1f} | {whole[name].peak_mb:,.0f} "
        f"| {whole[name].seconds / half[name].seconds:.2f} | {whole[name].peak_mb - half[name].peak_mb:+,.0f} |"
        for name in whole
    ]


if __name__ == "__main__":
    runtime.run(main)
