"""Arrays are checked before they become data/raw.npz; archives are read without running what is in them."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.lib import dataset, duplicates, files, scoring, synthetic
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


def test_a_class_that_validation_would_lack_is_named(tmp_path, monkeypatch):
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


def test_an_archive_damaged_anywhere_is_refused_or_read_as_it_was(tmp_path):
    path = tmp_path / "a.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    files.write_npz(path, pixels=pixels)
    whole = path.read_bytes()
    assert len(whole) > 8192
    refused = 0
    for place in [*range(300), *range(len(whole) - 300, len(whole))]:
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        try:
            np.testing.assert_array_equal(files.read_npz(path, "pixels")["pixels"], pixels)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused > 100


SCORES = {"roc_auc": 0.9, "roc_auc_low": 0.8, "roc_auc_high": 0.95, "accuracy": 0.5, "log_loss": 1.0}


@pytest.mark.parametrize(
    "text",
    [json.dumps(SCORES | {"roc_auc": value}) for value in (None, True, "0.5", 9.0, float("nan"), float("-inf"), [0.5])]
    + ["", "[]", "null", "{", '{"roc_auc": 0.5}', "\x00", json.dumps(SCORES | {"log_loss": -1})],
)
def test_a_metrics_file_that_holds_no_scores_is_refused(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json: ") as error:
        files.read_json(tmp_path / "metrics.json", scoring.Scores)
    assert len(str(error.value).splitlines()) == 1


@given(content=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_a_file_of_a_stage_are_refused_or_read(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (
        lambda: files.read_npz(path, "x"),
        lambda: files.read_json(path, scoring.Scores),
        lambda: files.read_csv(path),
    ):
        try:
            read()
        except UserError as error:
            assert len(str(error).splitlines()) == 1


def test_a_model_that_does_not_fit_the_test_split_is_refused(tmp_path, monkeypatch):
    import keras

    from stages.lib import evaluation, params

    monkeypatch.chdir(tmp_path)
    labels = np.arange(20, dtype=np.uint8) % 2
    images = np.zeros((20, 8, 8, 3), np.uint8)
    files.write_npz(dataset.TEST, x_test=images, y_test=labels, class_names=np.array(["a", "b"]))

    def network(shape: tuple[int, ...], classes: int, bias: float) -> keras.Model:
        inputs = keras.Input(shape, dtype="uint8")
        dense = keras.layers.Dense(classes, bias_initializer=keras.initializers.Constant(bias))
        return keras.Model(inputs, dense(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))))

    for shape, classes, bias in (((9, 8, 3), 2, 0.0), ((8, 8, 3), 3, 0.0), ((8, 8, 3), 2, np.nan)):
        with pytest.raises(UserError, match=r"^models/cnn2\.keras: .*dvc repro"):
            evaluation.evaluate("cnn2", network(shape, classes, bias), params.Scoring(bootstrap_replicates=100), 0)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["test.npz"]


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
