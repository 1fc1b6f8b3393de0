"""near_duplicates: how many near copies study/data/near_duplicates.py finds, and how many pairs that were not planted.

Takes training images without exact copies, makes a copy of some of them in each of several ways, and prints a Markdown
table, which stands in docs/numbers.md. Drawn images have no near duplicates of their own: each other pair is false. Of
real images somebody has to look at the pairs: --figure shows a sample.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import workspace
from study import runtime
from study.data import duplicates, near_duplicates, synthetic
from study.data.arrays import Split, check
from study.review import eda_figures, figures

SEED = 0


def both(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return synthetic.encoded(synthetic.mirrored(pixels, rng), rng)


COPIES = {
    "mirrored": synthetic.mirrored,
    "JPEG, quality {} to {}".format(*synthetic.QUALITIES): synthetic.encoded,
    "mirrored and JPEG": both,
}


def main() -> None:
    options = parse()
    arrays = drawn(options.images) if options.data is None else workspace.images(options.data)
    _, distinct = np.unique(duplicates.groups(arrays["x_train"]), return_index=True)
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(distinct)[: options.images])
    images, labels = arrays["x_train"][rows], arrays["y_train"][rows]
    print(f"| of {len(images):,} images | {' | '.join(COPIES)} | other pairs per 1,000 images | seconds |", flush=True)
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
    return parser.parse_args()


def drawn(images: int) -> dict[str, np.ndarray]:
    """Images as `data.synthetic` of params.yaml describes them, with its noise and no planted faults."""
    params = workspace.load("data").data
    faults = dict.fromkeys(("duplicates", "leaks", "near_duplicates", "near_leaks"), 0)
    return check(
        synthetic.draw(train_images=images, test_images=20, noise=params.synthetic.noise, **faults, seed=params.seed),
        "synthetic",
    )


def recall(images: np.ndarray, looks: near_duplicates.Looks, copy, copies: int, rng: np.random.Generator) -> float:
    """The share of copies that are near their original."""
    rows = rng.permutation(len(images))[:copies]
    found = near_duplicates.looks(copy(images[row], rng) for row in rows)
    near = [near_duplicates.matches(found[[place]], looks[[row]])[0] == 0 for place, row in enumerate(rows)]
    return float(np.mean(near))


if __name__ == "__main__":
    runtime.run(main)
