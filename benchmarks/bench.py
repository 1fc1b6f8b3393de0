"""bench: train cnn2 by this pipeline and by the study's own loop, one after the other on this machine, and compare.

Prints a Markdown table and writes benchmarks/last.json. See benchmarks/README.md for what each number means.

All work is done in child processes, in a temporary folder that looks like the repository: each has a peak memory of its
own, and nothing is left behind. This process loads neither Keras nor the images, since a child's peak starts from its
parent's.
"""

import argparse
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

from benchmarks import workspace
from study.base import files, runtime
from study.base.runtime import UserError
from study.data import arrays

PACKAGES = ("keras", "tensorflow", "numpy")
WAYS = {"ours": "ours", "bfloat16": "ours, bfloat16", "notebook": "notebook"}

Record = dict[str, Any]


def main() -> None:
    options = parse()
    if min(options.notebook_epochs, *(value for value in (options.epochs, options.images) if value is not None), 1) < 1:
        raise UserError("--epochs, --notebook-epochs and --images allow 1 or more")
    with workspace.workspace() as folder:
        record = {"machine": machine(), "target": options.target, "data": data(folder, options)}
        target, epochs = f"--target={options.target}", [f"--epochs={options.epochs}"] if options.epochs else []
        record["ours"] = child(folder, "ours", target, *epochs)
        if options.bfloat16:
            record["bfloat16"] = child(folder, "bfloat16", target, *epochs)
        record["notebook"] = child(folder, "notebook", target, f"--epochs={options.notebook_epochs}")
        record["limit"] = child(folder, "limit", *(["--bfloat16"] if options.bfloat16 else []))
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
    parser.add_argument(
        "--data", type=Path, metavar="PATH.npz", help="images to train on; without it those drawn by code"
    )
    parser.add_argument("--target", type=float, default=0.975, help="validation ROC-AUC to reach (%(default)s)")
    parser.add_argument("--epochs", type=int, metavar="N", help="of ours, the whole schedule (the block's)")
    parser.add_argument("--notebook-epochs", type=int, default=20, metavar="N", help="at most (%(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="train ours with precision mixed_bfloat16, too")
    parser.add_argument("--images", type=int, metavar="N", help="use the first N training images only")
    return parser.parse_args()


def data(folder: Path, options: argparse.Namespace) -> Record:
    """Get the images, and split them by the pipeline's own stage."""
    workspace.apart(write_images, options.data, options.images, folder)
    workspace.run(folder, "stages.prepare")
    labels = files.read_npz(folder / arrays.PREPARED, "y_train", "y_validation")
    return {
        "source": options.data.name if options.data else "synthetic",
        "train_images": len(labels["y_train"]),
        "validation_images": len(labels["y_validation"]),
    }


def write_images(data: Path | None, count: int | None, folder: Path) -> None:
    images = workspace.images(data)
    first = {key: images[key][:count] for key in ("x_train", "y_train")}
    files.write_npz(folder / arrays.RAW, **images | first)


def child(folder: Path, role: str, *options: str) -> Record:
    """What a role of `loops` measures, in a process of its own."""
    workspace.run(folder, "benchmarks.loops", role, *options)
    return files.read_json(folder / f"{role}.json", dict)


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
    runtime.run(main)
