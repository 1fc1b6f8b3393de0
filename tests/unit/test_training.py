"""Training is right, the same every time, and looks at validation alone."""

import itertools
import weakref
import zipfile

import keras
import numpy as np
import pytest

from stages.lib import batches, batchnorm, checkpoint, cnn, dataset, files, params, scoring, training
from stages.lib.dataset import Split
from stages.lib.errors import UserError


def tiny(run) -> keras.Model:
    prepared = run.prepared
    inputs = keras.Input(prepared.image_shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(len(prepared.class_names), activation="softmax")(x))


@pytest.fixture
def block(raw_params) -> params.Cnn:
    block = params.parse(raw_params).models["cnn2_dropout"]
    changes = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "mirror_average": False}
    return params.override(block, changes, "test")


def test_the_same_arguments_give_the_same_bits(block, prepared, as_run):
    one, same, other = (training.fit(tiny, as_run(block, prepared, seed))[0].get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_epoch_reports_validation_scores_and_the_rate(block, prepared, as_run):
    seen = []
    _, history = training.fit(tiny, as_run(block, prepared), seen.append)
    assert seen == history
    assert [row["epoch"] for row in seen] == [1, 2, 3]
    assert {"epoch", "loss", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate"} <= set(history[0])
    assert history[-1]["val_roc_auc"] > 0.95
    assert history[-1]["learning_rate"] < history[0]["learning_rate"]


def test_a_rate_that_breaks_training_is_named(block, prepared, as_run):
    def broken(run):
        model = tiny(run)
        model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.nan))
        return model

    with pytest.raises(UserError, match="learning_rate 0.01 is too high"):
        training.fit(broken, as_run(block, prepared))


def test_early_stopping_keeps_the_best_epoch(block, prepared, as_run):
    block = params.override(block, {"epochs": 30, "early_stopping_patience": 2}, "test")
    model, history = training.fit(tiny, as_run(block, prepared))
    best = max(row["val_accuracy"] for row in history)
    assert len(history) < 30
    found = model.predict(prepared.validation.images, verbose=0).argmax(axis=1) == prepared.validation.labels
    assert found.mean() == best


def test_a_plateau_halves_the_rate(block, prepared, as_run):
    schedule = {"name": "plateau", "patience": 1, "factor": 0.5, "minimum_learning_rate": 0.0001}
    block = params.override(block, {"epochs": 8, "schedule": schedule, "learning_rate": 0.016}, "test")
    _, history = training.fit(tiny, as_run(block, prepared))
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == pytest.approx(0.016)
    assert rates[-1] < 0.016
    assert all(
        later / earlier == pytest.approx(0.5) or later == earlier for earlier, later in itertools.pairwise(rates)
    )


def test_the_cosine_schedule_warms_up_and_ends_at_zero(block):
    block = params.override(block, {"schedule": {"name": "cosine", "warmup_fraction": 0.25}}, "test")
    rate = training.optimizer(block, steps=10, epochs=4)._learning_rate
    values = [float(rate(step)) for step in range(41)]
    assert values[0] == 0.0
    assert values[10] == max(values) == pytest.approx(block.learning_rate)
    assert values[40] == pytest.approx(0.0, abs=1e-9)


def test_weight_decay_spares_biases_and_batch_norm(block):
    chosen = training.optimizer(params.override(block, {"weight_decay": 0.5}, "test"), steps=1, epochs=1)
    layers = [keras.layers.Dense(2), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((3,)), *layers])
    chosen.build(model.trainable_variables)
    assert [v.path.split("/")[-1] for v in model.trainable_variables if chosen._use_weight_decay(v)] == ["kernel"]


def one_image_a_row(count: int) -> Split:
    """Images whose pixels hold their own number and place."""
    y, x = np.mgrid[:6, :6]
    images = np.stack([np.stack([np.full((6, 6), number), y, x], axis=-1) for number in range(count)])
    return Split(images.astype(np.uint8), (np.arange(count) % 2).astype(np.uint8))


def drawn(seed: int, epochs: int, flip: bool, shift: int) -> list[np.ndarray]:
    augmentation = params.Augmentation(flip=flip, shift_pixels=shift)
    stream = batches.augmented(one_image_a_row(10), 2, 4, augmentation, seed)
    return [next(stream)[0] for _ in range(2 * epochs)]


def test_batches_depend_on_seed_and_epoch_alone():
    one, same, other = drawn(1, 3, True, 2), drawn(1, 3, True, 2), drawn(2, 3, True, 2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends take the batches as they are")
def test_what_fit_is_given_holds_the_batches_in_order_and_has_no_thread_that_tunes_it():
    augmentation = params.Augmentation(flip=True, shift_pixels=2)
    streamed = batches.stream(batches.augmented(one_image_a_row(10), 2, 4, augmentation, 1))
    for (images, _), expected in zip(streamed.take(6), drawn(1, 3, True, 2), strict=True):
        np.testing.assert_array_equal(images, expected)
    assert streamed.options().autotune.enabled is False


@pytest.mark.parametrize("count", [1, scoring.PREDICT_BATCH, 2 * scoring.PREDICT_BATCH + 3])
def test_each_image_is_predicted_once_and_in_order(count):
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32")))
    images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    np.testing.assert_array_equal(scoring.predict(model, images), images.reshape(count, -1))


def test_an_epoch_takes_no_image_twice():
    stream = drawn(1, 4, False, 0)
    for first, second in zip(stream[::2], stream[1::2], strict=True):
        numbers = np.concatenate([first, second])[:, 0, 0, 0]
        assert len(set(numbers.tolist())) == 8


def test_images_are_flipped_and_shifted_and_nothing_else():
    image = one_image_a_row(1).images[0]
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    allowed = {
        (view[top : top + 6, left : left + 6, 1:]).tobytes()
        for view in (padded, padded[:, ::-1])
        for top in range(5)
        for left in range(5)
    }
    found = {image[..., 1:].tobytes() for batch in drawn(3, 40, True, 2) for image in batch}
    assert found <= allowed
    assert len(found) > len(allowed) * 0.8
    unchanged = {image[..., 1:].tobytes() for batch in drawn(3, 2, False, 0) for image in batch}
    assert unchanged == {image[..., 1:].tobytes()}


class Killed(BaseException):
    """Stands for a kill between two epochs."""


CALLBACKS = {
    "cosine": {},
    "plateau and early stopping": {
        "schedule": {"name": "plateau", "patience": 1, "factor": 0.5, "minimum_learning_rate": 0.0001},
        "early_stopping_patience": 3,
        "epochs": 12,
    },
    "sgd": {"optimizer": "sgd", "weight_decay": 0.01},
}


@pytest.mark.parametrize("changes", CALLBACKS.values(), ids=CALLBACKS)
def test_a_killed_training_goes_on_and_ends_with_the_same_bits(block, prepared, as_run, changes):
    block = params.override(block, changes, "test")
    expected, expected_history = training.fit(tiny, as_run(block, prepared, whole=True))

    trained = []
    model = None
    while model is None:
        seen = []

        def kill(row, seen=seen):
            seen.append(row)
            if row["epoch"] not in trained:
                trained.append(row["epoch"])
                if len(trained) > 1:  # the row before is on disk, this one is not
                    raise Killed

        try:
            model, history = training.fit(tiny, as_run(block, prepared), kill)
        except Killed:
            assert len(trained) < 50
    assert history == expected_history == seen
    for found, weights in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weights)
    assert len(trained) == len(history)


def test_a_finished_training_is_not_repeated(block, prepared, as_run, monkeypatch):
    first, history = training.fit(tiny, as_run(block, prepared))
    steps = []
    monkeypatch.setattr(checkpoint.Saver, "on_train_batch_end", lambda *args: steps.append(1))
    again, same = training.fit(tiny, as_run(block, prepared))
    assert same == history
    assert not steps
    for found, weights in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weights)


@pytest.mark.parametrize("changed", ["block", "seed", "data", "code", "packages", "nothing", "damage"])
def test_a_checkpoint_belongs_to_its_inputs(block, prepared, as_run, monkeypatch, changed):
    run = as_run(block, prepared, data="1")
    training.fit(tiny, run)
    match changed:
        case "block":
            run = as_run(params.override(block, {"dropout": 0.3}, "test"), prepared, data="1")
        case "seed":
            run = as_run(block, prepared, seed=1, data="1")
        case "data":
            run = as_run(block, prepared, data="2")
        case "code":
            monkeypatch.setattr(checkpoint.files, "sha256", lambda path: "of a changed module")
            run = as_run(block, prepared, data="1")
        case "packages":
            monkeypatch.setattr(checkpoint.importlib.metadata, "version", lambda package: "0")
            run = as_run(block, prepared, data="1")
        case "nothing":
            run = as_run(block, prepared, data="1")
        case "damage":
            path = run.checkpoint.folder / "model.npz"
            path.write_bytes(path.read_bytes()[:-100])
    assert len(run.checkpoint.phase("model").history) == (3 if changed == "nothing" else 0)


def test_the_fused_batch_norm_is_keras_own(block, prepared):
    """From the same weights: the same losses, gradients and running statistics, to the rounding of float32."""
    keras.utils.set_random_seed(0)
    shape, without_dropout = prepared.image_shape, block.model_copy(update={"dropout": 0.0})
    plain, fused = (cnn.network(shape, 2, (8, 16), without_dropout) for _ in range(2))
    fused.set_weights(plain.get_weights())
    images, labels = next(batches.augmented(prepared.train, 2, 16, block.augmentation, 0))
    for model in (plain, fused):
        model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy")
    with batchnorm.fused(fused):
        assert {type(layer) for layer in fused.layers} - {type(layer) for layer in plain.layers}
        for _ in range(3):
            losses = [model.train_on_batch(images, labels) for model in (plain, fused)]
            assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    images = prepared.validation.images
    np.testing.assert_allclose(plain.predict(images, verbose=0), fused.predict(images, verbose=0), atol=1e-4)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"axis": 1}, {"renorm": True}])
def test_a_batch_norm_of_another_kind_is_left_to_keras(options):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.BatchNormalization(**options)(inputs))
    model.compile("sgd", "mse")
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 3))
    with batchnorm.fused(model):
        assert not any(isinstance(layer, batchnorm.FusedBatchNormalization) for layer in model.layers)
        assert np.isfinite(model.train_on_batch(images, images))


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_mirror_averaged_model_gives_the_mean_of_both_views(precision, block, prepared, as_run, tmp_path):
    """And is saved and loaded as such, without the optimizer."""
    single = params.override(block, {"precision": precision}, "test")
    plain, _ = training.fit(tiny, as_run(single, prepared))
    averaged, _ = training.fit(tiny, as_run(params.override(single, {"mirror_average": True}, "test"), prepared))
    images = prepared.validation.images
    views = [scoring.predict(plain, view).astype(np.float32) for view in (images, images[:, :, ::-1])]
    assert not np.array_equal(*views)
    files.write_model(tmp_path / "model.keras", averaged)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "Adam" not in archive.read("config.json").decode()
    for model in (averaged, files.read_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(scoring.predict(model, images), np.mean(views, axis=0), atol=1e-6)
    assert averaged.count_params() == plain.count_params()


def test_what_trained_is_gone_before_the_averaged_model_predicts(block, prepared, as_run, tmp_path, monkeypatch):
    """A large network's optimizer state and graphs would add to the memory that the prediction takes."""
    trained, alive, predict = [], [], scoring.predict

    def build(run):
        model = tiny(run)
        trained.append(weakref.ref(model))
        return model

    def counted(model, images):
        alive.append(trained[0]() is not None)
        return predict(model, images)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scoring, "predict", counted)
    block = params.override(block, {"mirror_average": True}, "test")
    training.train("test", build, as_run(block, prepared), params.Scoring(bootstrap_replicates=100))
    assert alive == [True, True, True, False]  # after each epoch, and at last


def test_a_training_uses_the_fused_batch_norm_and_leaves_plain_layers(block, prepared, as_run, monkeypatch):
    call, used = batchnorm.FusedBatchNormalization.call, []

    def counted(self, *args, **named):
        used.append(self)
        return call(self, *args, **named)

    monkeypatch.setattr(batchnorm.FusedBatchNormalization, "call", counted)
    model, _ = training.fit(lambda run: cnn.network((32, 32, 3), 2, (4,), run.block), as_run(block, prepared))
    assert used
    kinds = {type(layer) for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert kinds == {keras.layers.BatchNormalization}


def test_the_bias_before_a_batch_norm_is_not_trained(block, prepared, as_run):
    model, _ = training.fit(
        lambda run: cnn.network(run.prepared.image_shape, 2, (4, 8), block), as_run(block, prepared)
    )
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 2
    for layer in convolutions:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.bias), 0.0)


@pytest.mark.parametrize("changed", ["data", "weights", "epochs", "more", "nothing"])
def test_a_prepared_run_belongs_to_its_files(raw_params, prepared, tmp_path, monkeypatch, changed):
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(dataset, "PREPARED", tmp_path / "prepared.npz")
    weights = tmp_path / "own.weights.h5"
    block = params.parse(raw_params).models["resnet50"].model_copy(update={"weights": str(weights)})
    (tmp_path / "prepared.npz").write_bytes(b"data")
    weights.write_bytes(b"weights")

    def marker(epochs: int = 3, **more) -> bytes:
        run = training.start("test", block, 1, prepared, epochs, **more)
        return (run.checkpoint.folder / "inputs.sha256").read_bytes()

    before = marker()
    match changed:
        case "data":
            (tmp_path / "prepared.npz").write_bytes(b"other")
        case "weights":
            weights.write_bytes(b"other")
    after = marker(4 if changed == "epochs" else 3, **({"search": 1} if changed == "more" else {}))
    assert (after == before) == (changed == "nothing")
