"""near_duplicates: how many near copies study/cleaning finds, and how many pairs that were not planted.

Takes training images without exact copies, makes a copy of some of them in each of several ways, and prints a Markdown
table, which stands in docs/numbers.md. Drawn images have no near duplicates of their own: each other pair is false. Of
real images somebody has to look at the pairs: --figure shows a sample. --hashes compares the hashes that were tried;
--whole searches all images of both splits.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from benchmarks import workspace
from study.base import runtime
from study.cleaning import duplicates, near_duplicates
from study.data.arrays import Split, check
from study.drawing import figures
from study.eda import eda_figures
from study.sources import synthetic

SEED = 0
FEWEST = 60  # images that can be drawn


def both(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return synthetic.encoded(synthetic.mirrored(pixels, rng), rng)


COPIES = {
    "mirrored": synthetic.mirrored,
    "JPEG, quality {} to {}".format(*synthetic.QUALITIES): synthetic.encoded,
    "mirrored and JPEG": both,
}


Hash = Callable[[Image.Image], np.ndarray]
# Hashes by name: an image to its bits. They were tried for study/cleaning/near_duplicates.py.
HASHES: dict[str, Hash] = {
    "dhash, both directions": lambda image: np.append(
        imagehash.dhash(image).hash, imagehash.dhash_vertical(image).hash
    ),
    "dhash, both directions, of 16 × 16": lambda image: np.append(
        imagehash.dhash(image, 16).hash, imagehash.dhash_vertical(image, 16).hash
    ),
    "dhash": lambda image: imagehash.dhash(image).hash.ravel(),
    "phash": lambda image: imagehash.phash(image).hash.ravel(),
    "phash of 10 × 10, factor 2": lambda image: imagehash.phash(image, 10, 2).hash.ravel(),
    "average hash": lambda image: imagehash.average_hash(image).hash.ravel(),
}
FOUND = 0.99  # share of the copies that each hash is to find


def main() -> None:
    options = parse()
    arrays = drawn(options.images) if options.data is None else workspace.images(options.data)
    if options.whole:
        return whole(*(Split(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "test")))
    _, distinct = np.unique(duplicates.groups(arrays["x_train"]), return_index=True)
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(distinct)[: options.images])
    images, labels = arrays["x_train"][rows], arrays["y_train"][rows]
    if options.hashes:
        return compare_hashes(images, options.copies, rng)
    print(f"| of {len(images):,} images | {' | '.join(COPIES)} | other links per 1,000 images | seconds |", flush=True)
    print("|" + "---|" * (len(COPIES) + 3))
    start = time.process_time()
    looks = near_duplicates.looks(images)
    links = near_duplicates.groups(looks).links
    seconds = time.process_time() - start
    recalls = [f"{recall(images, looks, copy, options.copies, rng):.1%}".replace("%", " %") for copy in COPIES.values()]
    name = options.data.name if options.data else "drawn"
    print(f"| {name} | {' | '.join(recalls)} | {1000 * len(links) / len(images):.2f} | {seconds:.1f} |")
    if options.figure:
        none = np.zeros((0, 2), int)
        pairs, train = near_duplicates.Pairs(links, none, none), Split(images, labels)
        figure = eda_figures.near_duplicates({"train": train}, pairs, arrays["class_names"].tolist(), SEED)
        figures.save(figure, options.figure) if figure else print("no pairs, and so no figure", file=sys.stderr)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.near_duplicates", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; default: drawn by code")
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="of them; default 10000")
    parser.add_argument("--copies", type=int, default=1000, metavar="N", help="of each kind; default 1000")
    parser.add_argument("--figure", type=Path, metavar="PATH.png", help="where to draw a sample of the other pairs")
    parser.add_argument("--hashes", action="store_true", help="compare the hashes that were tried instead")
    parser.add_argument("--whole", action="store_true", help="search all images of both splits instead")
    return parser.parse_args()


def drawn(images: int) -> dict[str, np.ndarray]:
    """Images as `data.synthetic` of params.yaml describes them, with its noise and no planted faults."""
    params = workspace.load("data").data
    faults = dict.fromkeys(("duplicates", "leaks", "near_duplicates", "near_leaks"), 0)
    return check(
        synthetic.draw(
            train_images=max(FEWEST, images), test_images=20, noise=params.synthetic.noise, **faults, seed=params.seed
        ),
        "synthetic",
    )


def compare_hashes(images: np.ndarray, copies: int, rng: np.random.Generator) -> None:
    """Print how many other pairs each hash finds with the limit with which it finds FOUND of the copies."""
    print("| hash | bits | limit | other pairs |\n|---|---|---|---|", flush=True)
    chosen = [
        (row, copy(images[row], rng)) for copy in COPIES.values() for row in rng.permutation(len(images))[:copies]
    ]
    for name, bits_of in HASHES.items():
        own, mirrored = (signs(bits_of, part) for part in (images, images[:, :, ::-1]))
        rows, made = [row for row, _ in chosen], signs(bits_of, [copy for _, copy in chosen])
        bits = own.shape[1]
        nearest = np.maximum(*((made * part[rows]).sum(axis=1) for part in (own, mirrored)))
        least = np.quantile(nearest, 1 - FOUND, method="lower")  # of the product of two rows of signs
        pairs = 0
        for start in range(0, len(own), near_duplicates.ROWS):
            part = own[start : start + near_duplicates.ROWS]
            is_near = (part @ own.T >= least) | (part @ mirrored.T >= least)
            pairs += int(np.count_nonzero(np.triu(is_near, start + 1)))
        print(f"| {name} | {bits} | {int((bits - least) // 2)} | {pairs:,} |", flush=True)


def signs(bits_of: Hash, images: Iterable[np.ndarray]) -> np.ndarray:
    """The hashes of images, (N, bits) float32 of -1 and 1."""
    bits = [bits_of(Image.fromarray(np.ascontiguousarray(pixels))) for pixels in images]
    return np.where(np.array(bits), np.float32(1), np.float32(-1))


def whole(train: Split, test: Split) -> None:
    """Print the groups of near copies in the training images, without exact copies, and those that test images have."""
    in_test, repeated, _ = duplicates.faults(train, test)
    seconds = [time.process_time()]
    looks = near_duplicates.looks(train.images[row] for row in np.flatnonzero(~(in_test | repeated)))
    test_looks = near_duplicates.looks(test.images)
    seconds.append(time.process_time())
    sizes = np.bincount(near_duplicates.groups(looks).numbers)
    seconds.append(time.process_time())
    near_test = np.count_nonzero(near_duplicates.matches(looks, test_looks) >= 0)
    seconds.append(time.process_time())
    print("| training images | groups | largest | near a test image | seconds: hashes | groups | across |")
    print("|" + "---|" * 7)
    times = " | ".join(f"{taken:.1f}" for taken in np.diff(seconds))
    print(f"| {len(looks):,} | {np.count_nonzero(sizes > 1):,} | {sizes.max()} | {near_test:,} | {times} |")


def recall(images: np.ndarray, looks: near_duplicates.Looks, copy, copies: int, rng: np.random.Generator) -> float:
    """The share of copies that are near their original."""
    rows = rng.permutation(len(images))[:copies]
    found = near_duplicates.looks(copy(images[row], rng) for row in rows)
    near = [near_duplicates.matches(found[[place]], looks[[row]])[0] == 0 for place, row in enumerate(rows)]
    return float(np.mean(near))


if __name__ == "__main__":
    runtime.run(main)
