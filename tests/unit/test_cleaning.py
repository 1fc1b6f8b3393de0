"""Training images are cleaned, and every class stands in what is learned from and in validation."""

import numpy as np
import pytest

from study.base.runtime import UserError
from study.cleaning import clean
from study.data.arrays import Split


def different_images(*per_class: int) -> Split:
    """So many images of each class, no two of them equal."""
    labels = np.repeat(np.arange(len(per_class)), per_class).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3)).astype(np.uint8)
    return Split(images, labels)


def names(split: Split) -> list[str]:
    return [f"class{label}" for label in range(int(split.labels.max()) + 1)]


def test_faulty_training_images_are_dropped_and_counted_once(capsys):
    images = different_images(8, 8).images
    rows, labels = [0, 1, 1, 2, 2, 3, 3, 4, 5, 6], [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    rows, labels = [*rows, 7, 8, 9, 10], [*labels, 1, 1, 1, 1]
    kept = clean.clean_rows(Split(images[rows], np.array(labels)), Split(images[[3]], np.array([1])), ["a", "b"])
    assert kept.tolist() == [0, 1, 7, 8, 9, 10, 11, 12, 13]
    assert capsys.readouterr().out == (
        "14 training images: dropped 2 that are in the test split, 2 whose copy has another label, 1 repeated\n"
    )


# Images, by number, and labels of the training split; the test split has image 0. What is said of a class.
EMPTIED = {
    "one distinct image is left": (
        ([1, 2, 4, 5, 3, 3, 3], [0, 0, 0, 0, 1, 1, 1]),
        "leaves 1 of the 3 training images of class b; of this class it drops 0 that are in the test split, "
        "0 whose copy has another label, 2 repeated; ",
    ),
    "every image also stands under another label": (
        ([1, 2, 5, 6, 3, 4, 3, 4], [0, 0, 0, 0, 0, 0, 1, 1]),
        "leaves 0 of the 2 training images of class b; of this class it drops 0 that are in the test split, "
        "2 whose copy has another label, 0 repeated; ",
    ),
    "an image of the test split": (
        ([1, 2, 4, 5, 0, 3, 6, 7], [0, 0, 0, 0, 1, 1, 1, 1]),
        "leaves 3 of the 4 training images of class b; of this class it drops 1 that are in the test split, ",
    ),
    "nothing is left at all": (
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        "leaves 0 of the 2 training images of class a and too few of 1 other classes; ",
    ),
}


@pytest.mark.parametrize(("drawn", "message"), EMPTIED.values(), ids=EMPTIED)
def test_a_class_that_cleaning_empties_is_named_with_what_was_dropped_of_it(drawn, message):
    images = different_images(4, 4).images
    train = Split(images[drawn[0]], np.array(drawn[1], np.uint8))
    with pytest.raises(UserError) as error:
        clean.clean_rows(train, Split(images[[0]], np.array([1])), ["a", "b", "c"][: max(drawn[1]) + 1])
    assert str(error.value).startswith(f"data/raw.npz: cleaning {message}")
    assert str(error.value).endswith("add other images of it to the data, or correct their labels")


def test_validation_has_its_fraction_of_each_class_and_learning_has_the_rest():
    images = different_images(60, 20)
    learning, validation = clean.drawn_split(images, np.arange(80), np.arange(80), names(images), 0.1, seed=0)
    assert [np.bincount(part.labels).tolist() for part in (learning, validation)] == [[54, 18], [6, 2]]


def test_no_image_is_both_learned_from_and_validated_with():
    images = different_images(30, 30)
    parts = clean.drawn_split(images, np.arange(10, 50), np.arange(40), names(images), 0.25, seed=0)
    found = sorted(image.tobytes() for part in parts for image in part.images)
    assert found == sorted(image.tobytes() for image in images.images[10:50])


LACKING = {
    "validation": (
        (300, 4),
        0.1,
        "of the 4 cleaned images of class class1, 0 are left for validation; each class needs 2",
    ),
    "learning": (
        (300, 5),
        0.9,
        "of the 5 cleaned images of class class1, 0 are left to learn from; each class needs 1",
    ),
    "fewer images for validation than classes": (
        (5, 5),
        0.1,
        "of the 5 cleaned images of class class0, 0 are left for",
    ),
    "fewer images to learn from than classes": ((5, 5), 0.9, "of the 5 cleaned images of class class0, 0 are left to"),
}


@pytest.mark.parametrize(("per_class", "fraction", "message"), LACKING.values(), ids=LACKING)
def test_a_fraction_that_leaves_a_class_too_few_images_is_refused(per_class, fraction, message):
    images = different_images(*per_class)
    with pytest.raises(
        UserError, match=rf"^data/raw\.npz: {message}.*, change prepare.validation_fraction, {fraction}, "
    ):
        clean.drawn_split(images, *2 * [np.arange(len(images))], names(images), fraction, seed=0)


def drawn(rows: list[int], labels: list[int], mirrored: int = 0) -> Split:
    """Images of 8 coarse pixels a side by number, the last `mirrored` of them mirrored."""
    coarse = np.random.default_rng(1).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)[rows]
    images[len(rows) - mirrored :] = images[len(rows) - mirrored :, :, ::-1].copy()
    return Split(images, np.array(labels, np.uint8))


def test_near_copies_are_kept_unless_they_are_to_be_dropped():
    train, test = drawn([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9], [0, 1] * 5 + [0], mirrored=2), drawn([9], [0])
    assert clean.clean_rows(train, test, ["a", "b"]).tolist() == list(range(11))


def test_near_copies_of_test_images_and_of_earlier_ones_are_dropped_and_counted(capsys):
    train, test = drawn([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9], [0, 1] * 5 + [0], mirrored=2), drawn([9], [0])
    assert clean.clean_rows(train, test, ["a", "b"], drop_near=True).tolist() == list(range(9))
    assert "1 near-duplicates of test images, 1 near-duplicates of other training images\n" in capsys.readouterr().out


def test_near_copies_are_one_group_and_are_counted(capsys):
    train = drawn([0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 1, 0], mirrored=3)
    assert clean.groups_of(train, np.arange(6)).tolist() == [0, 1, 2, 0, 1, 0]
    assert capsys.readouterr().out.startswith("5 training images are near-duplicates of each other, in 2 groups; ")


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_learned_from_or_validated_with_as_a_whole(seed):
    images, groups = different_images(40, 40), np.arange(80) // 4
    rows = np.arange(80)
    parts = clean.drawn_split(images, rows, groups, names(images), 0.25, seed)
    number = {image.tobytes(): group for image, group in zip(images.images, groups, strict=True)}
    sides = [{number[image.tobytes()] for image in part.images} for part in parts]
    assert not sides[0] & sides[1]
    assert sum(map(len, parts)) == 80


# Sizes of the groups of near-duplicates in class 0, besides single images; in class 1 all are single.
GROUPED = {
    "one of almost half": [49],
    "one of more than half": [60],
    "many of just the share": [10] * 8,
    "many of a little less": [6] * 15,
    "many of more": [11] * 8,
    "pairs": [2] * 50,
}


@pytest.mark.parametrize("fraction", [0.1, 0.25])
@pytest.mark.parametrize("sizes", GROUPED.values(), ids=GROUPED)
def test_no_class_has_more_for_validation_than_its_fraction(sizes, fraction):
    images = different_images(100, 100)
    groups = np.arange(200)
    groups[: sum(sizes)] = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    for seed in range(6):
        _, validation = clean.drawn_split(images, np.arange(200), groups, names(images), fraction, seed)
        of_grouped, of_others = np.bincount(validation.labels) / 100
        assert 0.5 * fraction < of_grouped <= fraction
        assert of_others == fraction


def test_near_copies_under_another_label_count_for_their_own_class():
    images = different_images(40, 40)
    groups = np.r_[np.arange(40), np.arange(20), np.arange(60, 80)]
    for seed in range(5):
        _, validation = clean.drawn_split(images, np.arange(80), groups, names(images), 0.25, seed)
        assert (np.bincount(validation.labels) <= 10).all()


# Ten images, the last six for validation. Their groups, and how many images of each class are left in each part.
LABELS, OWN = np.array([0, 0, 1, 1] * 2 + [0, 1]), np.arange(10) >= 4
GIVEN = {
    "no copies": (np.arange(10), [2, 2], [3, 3]),
    "a copy of an image to learn from": (np.r_[np.arange(9), 2], [2, 2], [3, 2]),
    "copies of each other": (np.r_[np.arange(8), 4, 6], [2, 2], [3, 3]),
    "copies of a copy": (np.r_[np.arange(8), 0, 2], [2, 2], [2, 2]),
}


@pytest.mark.parametrize(("groups", "learning", "validation"), GIVEN.values(), ids=GIVEN)
def test_the_validation_split_of_the_data_loses_copies_of_images_to_learn_from(groups, learning, validation, capsys):
    images = Split(different_images(5, 5).images, LABELS)
    parts = clean.given_split(images, np.arange(10), groups, names(images), OWN)
    assert [np.bincount(part.labels).tolist() for part in parts] == [learning, validation]
    dropped = 6 - sum(validation)
    assert (
        capsys.readouterr().out
        == f"validation split of the data: dropped {dropped} near-duplicates of images to learn from\n"
    )


def test_a_class_of_which_too_few_images_for_validation_are_left_is_named():
    images = Split(different_images(5, 5).images, LABELS)
    with pytest.raises(UserError, match=r"raw\.npz: of the 3 cleaned images of class class1, 1 are left for val"):
        clean.given_split(images, np.arange(10), np.r_[np.arange(6), 2, 2, 8, 9], names(images), OWN)


ONE_GROUP = {"pairs of a small fraction": (np.arange(80) // 4, 0.05), "one group": (np.arange(80) // 40 * 40, 0.25)}


@pytest.mark.parametrize(("groups", "fraction"), ONE_GROUP.values(), ids=ONE_GROUP)
def test_groups_that_do_not_fit_the_fraction_are_refused(groups, fraction):
    images = different_images(40, 40)
    message = (
        "of the 40 cleaned images of class class0, 0 are left for validation; .* set prepare.near_duplicates to ignore"
    )
    with pytest.raises(UserError, match=message):
        clean.drawn_split(images, np.arange(80), groups, names(images), fraction, seed=0)
