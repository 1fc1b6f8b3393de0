"""near_duplicates: how many near-duplicates the pipeline finds, and how many of its pairs are false.

Takes training images without exact copies and makes a copy of some of them in each of several ways. Drawn images have
no near-duplicates of their own: each other link between two of them is false. Of real images somebody has to look at
the pairs, which the stage `eda` draws.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import results, workspace
from study.base import runtime
from study.cleaning import duplicates, near_duplicates
from study.sources import synthetic

SEED = 0
LEAST_IMAGES = 60  # that can be drawn
FAULTS = ("duplicates", "leaks", "near_duplicates", "near_leaks")  # planted in drawn images, but for this benchmark
Copy = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def both(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return synthetic.encoded(synthetic.mirrored(pixels, rng), rng)


COPIES: dict[str, Copy] = {
    "mirrored": synthetic.mirrored,
    "JPEG, quality {} to {}".format(*synthetic.QUALITIES): synthetic.encoded,
    "mirrored and JPEG": both,
}


def main() -> None:
    parser = results.parser("near_duplicates", __doc__, data=True)
    results.add_number(parser, "--images", 10_000, "training images", least=LEAST_IMAGES)
    results.add_number(parser, "--draws", 1000, "copies of each kind")
    options = parser.parse_args()
    with results.page(options) as page:
        columns = ["images", *COPIES, "other links per 1,000 images", "seconds"]
        page.table(columns, rows(options.data, options.images, options.draws))


def rows(data: Path | None, count: int, copies: int) -> Iterator[list[str]]:
    """One row: the share of copies of each kind that are found, other links, CPU seconds of hashes and search."""
    drawn = {"train_images": count, "test_images": 20} | dict.fromkeys(FAULTS, 0)
    images = distinct(workspace.images(data, **drawn), count)
    start = time.process_time()
    looks = near_duplicates.looks(images)
    links = near_duplicates.groups(looks).links
    seconds = time.process_time() - start
    rng = np.random.default_rng(SEED)
    recalls = [results.percent(recall(images, looks, copy, copies, rng)) for copy in COPIES.values()]
    name = f"{len(images):,}, {data.name if data else 'drawn by code'}"
    yield [name, *recalls, f"{1000 * len(links) / len(images):.2f}", f"{seconds:.1f}"]


def distinct(arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Up to `count` training images, drawn from those that are no exact copies."""
    _, rows = np.unique(duplicates.groups(arrays["x_train"]), return_index=True)
    return arrays["x_train"][np.sort(np.random.default_rng(SEED).permutation(rows)[:count])]


def recall(
    images: np.ndarray, looks: near_duplicates.Looks, copy: Copy, copies: int, rng: np.random.Generator
) -> float:
    """The share of copies that are near their original."""
    rows = rng.permutation(len(images))[:copies]
    copied = near_duplicates.looks(copy(images[row], rng) for row in rows)
    near = [near_duplicates.matches(copied[[place]], looks[[row]])[0] == 0 for place, row in enumerate(rows)]
    return float(np.mean(near))


if __name__ == "__main__":
    runtime.run(main)
