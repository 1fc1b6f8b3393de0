"""Batches depend on seed and epoch alone, and hold images that are flipped and shifted and nothing else."""

import numpy as np
import pytest

from study.data.arrays import Split
from study.models.common.schema import Augmentation
from study.training import batches


def numbered(count: int) -> Split:
    """Images of six by six pixels that hold their own number and place."""
    y, x = np.mgrid[:6, :6]
    images = np.stack([np.stack([np.full((6, 6), number), y, x], axis=-1) for number in range(count)])
    return Split(images.astype(np.uint8), (np.arange(count) % 2).astype(np.uint8))


def drawn(seed: int, epochs: int, flip: bool, shift: int, epoch: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two batches of four of each of so many passes over ten images."""
    augmentation = Augmentation(flip=flip, shift_pixels=shift)
    stream = batches.augmented(numbered(10), 2, 4, augmentation, seed, epoch)
    return [next(stream) for _ in range(2 * epochs)]


def images_of(*arguments) -> list[np.ndarray]:
    return [images for images, _ in drawn(*arguments)]


def places(images: np.ndarray) -> set[bytes]:
    """Where the pixels of each image come from."""
    return {image[..., 1:].tobytes() for image in images}


def test_the_same_seed_gives_the_same_batches():
    for one, same in zip(images_of(1, 3, True, 2), images_of(1, 3, True, 2), strict=True):
        np.testing.assert_array_equal(one, same)


def test_another_seed_gives_other_batches():
    assert not np.array_equal(images_of(1, 1, True, 2)[0], images_of(2, 1, True, 2)[0])


def test_another_epoch_gives_other_batches():
    first, _, third, _ = images_of(1, 2, True, 2)
    assert not np.array_equal(first, third)


def test_batches_from_a_later_epoch_are_those_of_the_whole_training():
    for one, same in zip(images_of(1, 3, True, 2)[2:], images_of(1, 2, True, 2, 1), strict=True):
        np.testing.assert_array_equal(one, same)


def test_an_epoch_takes_no_image_twice():
    stream = images_of(1, 4, False, 0)
    for first, second in zip(stream[::2], stream[1::2], strict=True):
        numbers = np.concatenate([first, second])[:, 0, 0, 0]
        assert len(set(numbers.tolist())) == 8


def test_each_image_has_its_own_label():
    for images, one_hot in drawn(1, 4, True, 2):
        assert one_hot.argmax(axis=1).tolist() == (images[:, 0, 0, 0] % 2).tolist()


def test_images_are_flipped_and_shifted_and_nothing_else():
    image = numbered(1).images[0]
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    allowed = {
        view[top : top + 6, left : left + 6, 1:].tobytes()
        for view in (padded, padded[:, ::-1])
        for top in range(5)
        for left in range(5)
    }
    found = places(np.concatenate(images_of(3, 40, True, 2)))
    assert found <= allowed
    assert len(found) > len(allowed) * 0.8


def test_images_without_augmentation_are_unchanged():
    assert places(np.concatenate(images_of(3, 2, False, 0))) == places(numbered(1).images)


@pytest.mark.parametrize("shift", [5, 64])
def test_a_shift_beyond_the_image_stays_within_its_mirrored_border(shift):
    """A border of five pixels is the widest that six pixels can mirror."""
    for images in images_of(3, 10, False, shift):
        assert images[..., 1:].max() <= 5


def test_what_fit_is_given_holds_the_batches_in_order():
    augmentation = Augmentation(flip=True, shift_pixels=2)
    streamed = batches.stream(batches.augmented(numbered(10), 2, 4, augmentation, 1))
    for (images, _), expected in zip(streamed.take(6), images_of(1, 3, True, 2), strict=True):
        np.testing.assert_array_equal(images, expected)


def test_what_fit_is_given_has_no_thread_that_tunes_it():
    augmentation = Augmentation(flip=True, shift_pixels=2)
    streamed = batches.stream(batches.augmented(numbered(10), 2, 4, augmentation, 1))
    assert streamed.options().autotune.enabled is False
