"""Arrays are checked before they become data/raw.npz; archives are read without running what is in them."""

import numpy as np
import pytest

from stages.lib import dataset, duplicates, files, synthetic
from stages.lib.dataset import Split
from stages.lib.errors import UserError


def arrays(**changes) -> dict:
    base = {
        "x_train": np.zeros((4, 8, 8, 3), np.uint8),
        "y_train": np.array([0, 1, 0, 1]),
        "x_test": np.zeros((2, 8, 8, 3), np.uint8),
        "y_test": np.array([0, 1]),
    }
    return base | changes


def test_labels_in_a_column_become_a_row():
    checked = dataset.check(arrays(y_train=np.array([[0], [1], [0], [1]])), "x")
    assert checked["y_train"].shape == (4,)
    assert checked["y_train"].dtype == np.uint8
    assert checked["class_names"].tolist() == ["0", "1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_train": np.zeros((4, 8, 8, 3), np.float32)}, "x_train is of dtype float32; allowed: uint8"),
        ({"x_train": np.zeros((4, 8, 8), np.uint8)}, r"x_train is of shape \(4, 8, 8\)"),
        ({"x_train": np.zeros((4, 8, 8, 1), np.uint8)}, "3 colours"),
        ({"x_test": np.zeros((0, 8, 8, 3), np.uint8), "y_test": np.zeros(0, int)}, "x_test is of shape"),
        ({"x_test": np.zeros((2, 9, 9, 3), np.uint8)}, "as in x_train"),
        ({"y_train": np.array([0, 1, 0])}, "one label an image"),
        ({"y_train": np.array([0.0, 1.0, 0.0, np.nan])}, "y_train is of dtype float64; allowed: integers"),
        ({"y_train": np.array([0, 1, 0, -1])}, "y_train is -1 to 1; allowed: 0 to 1"),
        ({"y_test": np.array([0, 2])}, "y_test is 0 to 2; allowed: 0 to 1"),
        ({"y_train": np.array([0, 2, 0, 2])}, "0 images of class 1"),
        ({"y_train": np.array([0, 0, 0, 1])}, "1 images of class 1; allowed: at least 2"),
        ({"y_test": np.array([0, 0])}, "0 images of class 1; allowed: at least 1"),
        ({"y_train": np.zeros(4, int), "y_test": np.zeros(2, int)}, "the number of classes is 1"),
        ({"class_names": np.array(["a", "a"])}, "class_names is not distinct"),
        ({"class_names": np.array(["a", "b|c"])}, r"class_names is of 'b\|c'; allowed: printable names"),
        ({"class_names": np.array(["a", "b\nc"])}, "class_names is of 'b.nc'"),
        ({"class_names": np.array(["a", " "])}, "class_names is of ' '"),
        ({"class_names": np.array([["a", "b"]])}, r"class_names is of shape \(1, 2\)"),
        ({"class_names": np.array([b"a", b"b"])}, "allowed: one string a class"),
    ],
)
def test_unfit_arrays_are_refused_by_name(changes, said):
    with pytest.raises(UserError, match=said):
        dataset.check(arrays(**changes), "some.npz")


def test_pickled_arrays_are_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(tmp_path / "bomb.npz", x_train=np.array([Bomb()], dtype=object))
    with pytest.raises(UserError, match="not a readable .npz of plain arrays"):
        files.read_npz(tmp_path / "bomb.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive", b"\x80\x04N."])
def test_a_damaged_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="not a readable .npz"):
        files.read_npz(tmp_path / "a.npz", "x")


def test_a_truncated_archive_is_refused(tmp_path):
    files.write_npz(tmp_path / "a.npz", x=np.arange(1000))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable .npz"):
        files.read_npz(tmp_path / "a.npz", "x")


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(UserError, match="not a readable .npz"):
        files.read_npz(tmp_path / "a.npy")


def test_a_class_that_validation_would_lack_is_named(tmp_path, monkeypatch, raw_params):
    from stages import prepare

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare.params, "load", lambda *sections: (1, prepare.params.Prepare(validation_fraction=0.1)))
    rng = np.random.default_rng(0)
    labels = np.array([0] * 300 + [1] * 2)
    images = rng.integers(0, 256, (304, 8, 8, 3)).astype(np.uint8)
    raw = {"x_train": images[:302], "y_train": labels, "x_test": images[302:], "y_test": np.array([0, 1])}
    files.write_npz(dataset.RAW, **dataset.check(raw, "test"))
    with pytest.raises(UserError, match="leaves no image for validation of class 1"):
        prepare.main()


def test_a_write_that_fails_leaves_the_previous_file(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "before")
    with pytest.raises(RuntimeError), files.whole(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_equal_arrays_give_equal_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        files.write_npz(tmp_path / name, x=np.arange(5), y=np.array(["p", "q"]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_faults_of_training_images_are_told_apart():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    train = Split(images[[0, 1, 1, 2, 2, 3]], np.array([0, 0, 0, 0, 1, 1], np.uint8))
    test = Split(images[[3, 4]], np.array([1, 0], np.uint8))
    in_test, repeated, conflicting = duplicates.faults(train, test)
    assert in_test.tolist() == [False, False, False, False, False, True]
    assert repeated.tolist() == [False, False, True, False, True, False]
    assert conflicting.tolist() == [False, False, False, True, True, False]


def test_drawn_images_have_the_planted_faults_and_depend_on_the_seed_alone():
    options = {"train_images": 100, "test_images": 50, "noise": 10.0, "duplicates": 6, "leaks": 4}
    one, same, other = (synthetic.draw(**options, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one["x_train"], other["x_train"])
    checked = dataset.check(one, "synthetic")
    in_test, repeated, conflicting = duplicates.faults(
        Split(checked["x_train"], checked["y_train"]), Split(checked["x_test"], checked["y_test"])
    )
    assert (in_test.sum(), repeated.sum(), conflicting.sum()) == (4, 6, 2)


def test_classes_may_have_any_printable_name(tmp_path, monkeypatch):
    """Names that scikit-learn's report, Markdown or matplotlib's formulas know."""
    from stages.lib import evaluation, figures

    names = ["accuracy", "macro avg", "$_$"]
    labels = np.arange(6, dtype=np.uint8) % 3
    probabilities = np.eye(3, dtype=np.float32)[labels]
    table = evaluation.classification_table("model", labels, probabilities, names)
    assert "| accuracy | 1.0000 | 1.000 | 1.000 | 1.000 | 2 |" in table
    split = Split(np.zeros((6, 8, 8, 3), np.uint8), labels)
    figures.save(evaluation.prediction_grid("model", split, labels, names), tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 0
