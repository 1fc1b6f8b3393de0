"""Near duplicates are found, whatever was done to a copy, and grouped."""

import io

import numpy as np
import pytest
from PIL import Image

from study.cleaning import near_duplicates
from study.data.arrays import Split
from study.sources import synthetic


@pytest.fixture(scope="module")
def originals() -> np.ndarray:
    """A hundred drawn images, (100, 32, 32, 3) uint8, no two of them near."""
    none = dict.fromkeys(("duplicates", "leaks", "near_duplicates", "near_leaks"), 0)
    return synthetic.draw(train_images=100, test_images=20, noise=10.0, **none, seed=3)["x_train"]


@pytest.fixture(scope="module")
def looks(originals) -> near_duplicates.Looks:
    return near_duplicates.looks(originals)


def encoded(pixels: np.ndarray, quality: int) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


COPIES = {
    "the same": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels[:, ::-1].copy(),
    "encoded anew": lambda pixels: encoded(pixels, 60),
    "mirrored and encoded anew": lambda pixels: encoded(pixels[:, ::-1], 75),
    "brighter": lambda pixels: np.clip(pixels.astype(int) + 4, 0, 255).astype(np.uint8),
    "enlarged": lambda pixels: np.asarray(Image.fromarray(pixels).resize((80, 80))),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_most_copies_are_found_and_each_is_near_its_original(copy, originals, looks):
    found = near_duplicates.matches(near_duplicates.looks(map(copy, originals)), looks)
    is_found = found >= 0
    assert is_found.mean() > 0.97
    assert (found == np.arange(100))[is_found].all()


def test_different_images_are_not_near(looks):
    assert near_duplicates.groups(looks).links.tolist() == []


def test_near_copies_are_linked_to_their_originals(originals):
    copies = [encoded(pixels, 75) for pixels in originals[:4]]
    linked = near_duplicates.groups(near_duplicates.looks([*originals, *copies])).links
    assert sorted(linked.tolist()) == [[row, 100 + row] for row in range(4)]


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_links_do_not_depend_on_how_many_are_compared_at_once(originals, monkeypatch, at_once):
    images = near_duplicates.looks(originals[[0, 1, 0, 2, 1, 0, 3]])
    monkeypatch.setattr(near_duplicates, "ROWS", at_once)
    monkeypatch.setattr(near_duplicates, "PAIRS", at_once)
    found = near_duplicates.groups(images)
    assert found.numbers.tolist() == [0, 1, 0, 3, 1, 0, 6]
    assert len(found.links) == 3


def test_images_of_almost_one_colour_are_not_near():
    flat = np.random.default_rng(0).integers(100, 103, (20, 32, 32, 3)).astype(np.uint8)
    assert near_duplicates.groups(near_duplicates.looks(flat)).links.tolist() == []


def test_no_images_have_no_links():
    assert near_duplicates.groups(near_duplicates.looks([])).links.shape == (0, 2)


def test_groups_are_what_pairs_connect(originals):
    """Four steps of brightness, of which only neighbours are near."""
    dark = originals[0] // 2
    step = int(0.9 * near_duplicates.MOST_DISTANCE * near_duplicates.looks([dark]).variances[0] ** 0.5)
    images = [dark, originals[1], dark + step, originals[2], dark + 2 * step, dark + 3 * step]
    found = near_duplicates.groups(near_duplicates.looks(np.array(images, np.uint8)))
    assert found.numbers.tolist() == [0, 1, 0, 3, 0, 0]
    assert found.links.tolist() == [[0, 2], [2, 4], [4, 5]]


def test_each_fault_is_counted_without_exact_copies(originals):
    near = [encoded(pixels, 75) for pixels in originals[:5]]
    train = Split(
        np.array([originals[0], originals[0], near[0], originals[1], near[1], near[2], originals[3]]),
        np.array([0, 0, 0, 1, 2, 0, 0], np.uint8),
    )
    test = Split(np.array([originals[2], originals[3], originals[4], originals[4], near[4]]), np.zeros(5, np.uint8))
    assert list(near_duplicates.pairs(train, test).faults(train).values()) == [2, 1, 1, 1]
