"""Near duplicates: re-encoded, resized, mirrored and slightly brighter copies of an image.

Two images are near duplicates if two things hold for them, or for one of them and the mirror image of the other: their
perceptual hashes differ in at most MOST_BITS of BITS bits, and their thumbnails by at most MOST_DISTANCE. The hash says
where an image gets brighter from left to right and from top to bottom, whatever its colours and its size. Hashes find
the few pairs whose thumbnails are compared. An image of almost one colour has no near duplicates. docs/methods.md says
how many copies are found, and how many of the found pairs are no copies.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image

from study.cleaning import duplicates
from study.data.arrays import Split

BITS = 128
MOST_BITS = 22
MOST_DISTANCE = 0.6  # root mean square of the differences of two thumbnails' pixels, in standard deviations of these
SIDE = 8  # pixels of a thumbnail
FLAT = 4.0  # variance of the pixels of a thumbnail, below which its hash is noise
ROWS = 256  # images whose hashes are compared with all others at once
PAIRS = 16_384  # pairs whose thumbnails are compared at once


@dataclass(frozen=True)
class Looks:
    """What is compared of N images: their hashes and their mirror images' hashes, (N, BITS) float32 of -1 and 1, or of
    0 if the image is flat; their thumbnails (N, SIDE, SIDE, 3) uint8; the variances of these, (N,) float64."""

    hashes: np.ndarray
    mirrored: np.ndarray
    thumbnails: np.ndarray
    variances: np.ndarray

    def __len__(self) -> int:
        return len(self.hashes)

    def __getitem__(self, rows) -> "Looks":
        return Looks(self.hashes[rows], self.mirrored[rows], self.thumbnails[rows], self.variances[rows])


@dataclass(frozen=True)
class Groups:
    """A number for each of N images, equal within a group: (N,) int; and the pairs of near duplicates that join
    each group: (L, 2) rows, the lower first, L less than N, without pairs of images that others connect already."""

    numbers: np.ndarray
    links: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Rows of near duplicates, (L, 2) each: pairs that join the groups in a split, and one for each training image that
    is near a test image. Of exact copies only the first is compared, and no training image that is in the test split.
    """

    train: np.ndarray
    test: np.ndarray
    across: np.ndarray

    def faults(self, train: Split) -> dict[str, int]:
        """The images of each fault."""
        return {
            "near-duplicates in train": len(self.train),
            "near-duplicates in test": len(self.test),
            "train images that are near-duplicates of test images": len(self.across),
            "near-duplicates in train with another label": np.count_nonzero(
                np.diff(train.labels[self.train].astype(int))
            ),
        }


def pairs(train: Split, test: Split) -> Pairs:
    in_test, repeated, _ = duplicates.faults(train, test)
    rows = np.flatnonzero(~(in_test | repeated))
    _, test_rows = np.unique(duplicates.groups(test.images), return_index=True)
    own, others = (looks(split.images[row] for row in part) for split, part in ((train, rows), (test, test_rows)))
    found = matches(own, others)
    is_near = found >= 0
    across = np.column_stack([rows[is_near], test_rows[found[is_near]]])
    return Pairs(rows[groups(own).links], test_rows[groups(others).links], across)


def looks(images: Iterable[np.ndarray]) -> Looks:
    """The looks of images (H, W, 3) uint8. Holds no copy of the images."""
    hashes, mirrored, thumbnails = [], [], []
    for pixels in images:
        image = Image.fromarray(pixels)
        hashes.append(_hash(image))
        mirrored.append(_hash(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
        thumbnails.append(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)))
    small = np.reshape(thumbnails, (-1, SIDE, SIDE, 3)).astype(np.uint8)
    variances = small.var(axis=(1, 2), dtype=np.float64).mean(axis=-1)
    signs = [np.where(np.reshape(bits, (-1, BITS)), np.float32(1), np.float32(-1)) for bits in (hashes, mirrored)]
    for sign in signs:
        sign[variances < FLAT] = 0
    return Looks(*signs, small, variances)


def _hash(image: Image.Image) -> np.ndarray:
    """BITS bool: each of 8 × 8 places brighter than the one on its left, and than the one above."""
    return np.append(imagehash.dhash(image).hash, imagehash.dhash_vertical(image).hash)


def groups(images: Looks) -> Groups:
    """What pairs of near duplicates connect."""
    group, found = np.arange(len(images)), []
    for start in range(0, len(images), ROWS):
        for low, high in _alike(images[start : start + ROWS], images[start:]):
            low, high = low + start, high + start
            is_open = group[low] != group[high]
            low, high = low[is_open], high[is_open]
            near = _are_near(images, low, images, high)
            for pair in zip(low[near].tolist(), high[near].tolist(), strict=True):
                one, other = group[list(pair)]
                if one != other:
                    group[group == other] = one
                    found.append(pair)
    return Groups(group, np.reshape(found, (-1, 2)).astype(int))


def matches(images: Looks, others: Looks) -> np.ndarray:
    """For each image the row of its first near duplicate among others, or -1: (N,) int."""
    found = np.full(len(images), -1)
    for start in range(0, len(images), ROWS):
        for rows, others_rows in _alike(images[start : start + ROWS], others):
            rows = rows + start
            is_open = found[rows] < 0
            rows, others_rows = rows[is_open], others_rows[is_open]
            near = _are_near(images, rows, others, others_rows)
            rows, first = np.unique(rows[near], return_index=True)
            found[rows] = others_rows[near][first]
    return found


def _alike(images: Looks, others: Looks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of images and of others whose hashes differ in few bits, up to PAIRS at a time, in their order."""
    least = BITS - 2 * MOST_BITS  # the product of two rows of signs, if they differ in that number of bits
    alike = images.hashes @ others.hashes.T >= least
    alike |= images.hashes @ others.mirrored.T >= least
    rows, others_rows = np.nonzero(alike)
    for start in range(0, len(rows), PAIRS):
        yield rows[start : start + PAIRS], others_rows[start : start + PAIRS]


def _are_near(images: Looks, rows: np.ndarray, others: Looks, others_rows: np.ndarray) -> np.ndarray:
    """Whether the thumbnails of each pair of rows, or one of them and the mirrored other, differ little: (P,) bool."""
    thumbnails, others_thumbnails = images.thumbnails[rows].astype(int), others.thumbnails[others_rows].astype(int)
    most = MOST_DISTANCE**2 * (images.variances[rows] + others.variances[others_rows]) / 2
    squares = [
        np.square(thumbnails - compared).mean(axis=(1, 2, 3))
        for compared in (others_thumbnails, others_thumbnails[:, :, ::-1])
    ]
    return np.minimum(*squares) <= most
