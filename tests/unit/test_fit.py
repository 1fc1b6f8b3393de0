"""Training is right, the same every time, and looks at validation alone."""

import itertools
import weakref
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow
from networks import CALLS, PLATEAU, SMALL_RESNET, TINY, as_run, saved, tiny

from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.cnn.build import cnn
from study.models.cnn.schema import Cnn
from study.models.common.architecture import Architecture
from study.params.schema import override
from study.scoring.predict import predict
from study.training import batchnorm, fit, optimizer

pytestmark = pytest.mark.usefixtures("checkpoints")


@dataclass
class Training:
    """What came of a training and what its callbacks saw."""

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    rows: list[dict[str, float]]
    epochs: list[int]


@pytest.fixture(scope="module")
def trained(cnn_block, prepared, checkpoints_of_module) -> Training:
    rows, epochs = [], []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    model, history = fit.fit(TINY, as_run(cnn_block, prepared), rows.append, [callback])
    return Training(model.get_weights(), history, rows, epochs)


def weights_of(run) -> list[np.ndarray]:
    return fit.fit(TINY, run)[0].get_weights()


def test_the_same_run_gives_the_same_bits(trained, cnn_block, prepared):
    pairs = zip(weights_of(as_run(cnn_block, prepared)), trained.weights, strict=True)
    assert all(np.array_equal(one, same) for one, same in pairs)


REPEATED = {
    "cosine": {},
    "plateau and early stopping": {"epochs": 8, "schedule": PLATEAU, "early_stopping_patience": 2},
    "sgd, mean of mirror images": {"optimizer": "sgd", "mirror_average": True},
    "rmsprop, bfloat16": {"optimizer": "rmsprop", "precision": "mixed_bfloat16"},
}


@pytest.mark.parametrize("changes", REPEATED.values(), ids=REPEATED)
def test_a_repeat_has_the_weights_of_its_training_alone(cnn_block, prepared, changes):
    block = override(cnn_block, changes, "test")
    runs = [as_run(block, prepared, seed, f"repeat-{seed}") for seed in (1, 2, 3)]
    together = [(model.get_weights(), history) for model, history in fit.fit_repeats(cnn(4), runs)]
    for seed, (weights, history) in list(zip((1, 2, 3), together, strict=True))[1:]:  # the first is what `fit` returns
        model, alone = fit.fit(cnn(4), as_run(block, prepared, seed, f"alone-{seed}"))
        assert history == alone
        assert all(np.array_equal(one, same) for one, same in zip(weights, model.get_weights(), strict=True))


class Counted(keras.layers.Layer):
    """Counts how often it is built into a graph."""

    calls = 0

    def call(self, inputs):
        Counted.calls += 1
        return inputs


def calls(runs: list) -> int:
    Counted.calls = 0
    counted = Architecture(Cnn, lambda *arguments: keras.Sequential([tiny(*arguments), Counted()]))
    list(fit.fit_repeats(counted, runs))
    return Counted.calls


def test_a_repeat_traces_nothing_anew(cnn_block, prepared):
    """It only builds a network once, whose variables it takes over."""
    runs = [as_run(cnn_block, prepared, seed, f"counted-{seed}") for seed in (1, 2, 3)]
    alone = as_run(cnn_block, prepared, 1, "counted-alone")
    assert calls(runs) == calls([alone]) + 2


def test_another_seed_gives_other_weights(trained, cnn_block, prepared):
    pairs = zip(weights_of(as_run(cnn_block, prepared, seed=2)), trained.weights, strict=True)
    assert not all(np.array_equal(one, other) for one, other in pairs)


def test_each_epoch_is_reported_as_it_stands_in_the_history(trained):
    assert trained.rows == trained.history


def test_the_history_has_a_row_per_epoch(trained):
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]


def test_the_history_holds_scores_of_training_and_validation_and_the_rate(trained):
    columns = ["epoch", "accuracy", "loss", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate"]
    assert list(trained.history[0]) == columns


def test_the_rate_of_a_cosine_falls(trained):
    assert trained.history[-1]["learning_rate"] < trained.history[0]["learning_rate"]


def test_a_training_learns(trained):
    assert trained.history[-1]["val_roc_auc"] > 0.95


def test_further_callbacks_are_called(trained):
    assert trained.epochs == [0, 1, 2]


def test_a_rate_that_breaks_training_is_named(cnn_block, prepared):
    def broken(*arguments):
        model = tiny(*arguments)
        model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.nan))
        return model

    with pytest.raises(UserError, match=r"^params\.yaml: models\.test\.learning_rate is 0\.01, and "):
        fit.fit(Architecture(Cnn, broken), as_run(cnn_block, prepared))


def test_the_fault_of_a_network_names_the_block_and_the_param(resnet_block, prepared):
    block = override(resnet_block, {"weights": "none.h5"}, "test")
    with pytest.raises(UserError, match=r"^params\.yaml: models\.test\.weights is none\.h5, no file"):
        fit.fit(SMALL_RESNET, as_run(block, prepared))


LACKS = {
    "NumPy's": (
        MemoryError("Unable to allocate 7.28 TiB for an array with shape (1000000000000,) and data type float64"),
        " (Unable to allocate 7.28 TiB for an array with shape (1000000000000,) and data type float64)",
    ),
    "TensorFlow's": (
        tensorflow.errors.ResourceExhaustedError(
            None,
            None,
            "Graph execution error:\n\nOOM when allocating tensor with shape[9,9] and type float on /job:localhost/"
            "replica:0/task:0/device:CPU:0 by allocator cpu\n\t [[{{node}}]]",
        ),
        " (OOM when allocating tensor with shape[9,9] and type float)",
    ),
    "Python's": (MemoryError(), ""),
}
SIZES = {
    "cnn": "batch_size (8), width_multiplier (1), convolutions_per_block (1), or smaller images (32 x 32 pixels)",
    "resnet": "batch_size (8), image_size (48), or smaller images (32 x 32 pixels)",
}


@pytest.mark.parametrize(("lack", "allocation"), LACKS.values(), ids=LACKS)
@pytest.mark.parametrize("family", SIZES)
def test_a_lack_of_memory_names_the_block_and_what_takes_memory(
    cnn_block, resnet_block, prepared, family, lack, allocation
):
    def large(*arguments):
        raise lack

    block = {"cnn": cnn_block, "resnet": resnet_block}[family]
    with pytest.raises(UserError) as error:
        fit.fit(Architecture(type(block), large), as_run(block, prepared))
    expected = f"params.yaml: models.test: out of memory{allocation}; less is needed by a smaller {SIZES[family]}"
    assert str(error.value) == expected


NAMES = {
    "a training": (None, "params.yaml: models.cnn2"),
    "another": ("metrics/tune.json: block", "metrics/tune.json: block"),
}


@pytest.mark.parametrize(("given", "name"), NAMES.values(), ids=NAMES)
def test_messages_call_the_block_of_a_training_as_params_yaml_does_unless_it_comes_from_elsewhere(
    cnn_block, prepared, prepared_file, given, name
):
    assert fit.start("cnn2", cnn_block, 1, prepared, block_name=given).name == name


def test_early_stopping_keeps_the_best_epoch(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 30, "early_stopping_patience": 2}, "test")
    model, history = fit.fit(TINY, as_run(block, prepared))
    best = max(row["val_accuracy"] for row in history)
    assert len(history) < 30
    right = predict(model, prepared.validation.images).argmax(axis=1) == prepared.validation.labels
    assert right.mean() == best


def test_a_plateau_halves_the_rate(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 8, "schedule": PLATEAU, "learning_rate": 0.016}, "test")
    _, history = fit.fit(TINY, as_run(block, prepared))
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == pytest.approx(0.016)
    assert rates[-1] < 0.016
    ratios = [later / earlier for earlier, later in itertools.pairwise(rates)]
    assert all(ratio == 1.0 or ratio == pytest.approx(0.5) for ratio in ratios)


def test_a_batch_larger_than_the_training_split_holds_all_of_it(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 1, "batch_size": 1000}, "test")
    assert len(fit.fit(TINY, as_run(block, prepared))[1]) == 1


def test_what_on_epoch_raises_ends_the_training(cnn_block, prepared):
    seen = []

    def stop(row):
        seen.append(row)
        raise LookupError

    with pytest.raises(LookupError):
        fit.fit(TINY, as_run(cnn_block, prepared), stop)
    assert len(seen) == 1


each_precision = pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])


def both_views(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The mean of a model's probabilities for images and for their mirror images."""
    views = [predict(model, view).astype(np.float32) for view in (images, images[:, :, ::-1])]
    assert not np.array_equal(*views)
    return np.mean(views, axis=0)


@each_precision
def test_a_training_with_mirror_average_gives_the_mean_of_both_views_of_one_without(cnn_block, prepared, precision):
    single = override(cnn_block, {"precision": precision, "epochs": 1}, "test")
    plain, _ = fit.fit(TINY, as_run(single, prepared))
    expected = both_views(plain, prepared.validation.images)
    averaged, _ = fit.fit(TINY, as_run(override(single, {"mirror_average": True}, "test"), prepared))
    np.testing.assert_allclose(predict(averaged, prepared.validation.images), expected, atol=1e-6)


@each_precision
def test_a_mirror_averaged_model_that_was_read_gives_the_mean_of_both_views(cnn_block, prepared, tmp_path, precision):
    keras.config.set_dtype_policy(precision)
    model = tiny(cnn_block, (32, 32, 3), 2)
    keras_file.write(tmp_path / "model.keras", fit.mirror_averaged(model))
    found = predict(keras_file.read(tmp_path / "model.keras"), prepared.validation.images)
    np.testing.assert_allclose(found, both_views(model, prepared.validation.images), atol=1e-6)


def test_a_mirror_averaged_model_has_no_further_weights(cnn_block):
    model = tiny(cnn_block, (32, 32, 3), 2)
    assert fit.mirror_averaged(model).count_params() == model.count_params()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("family", ["cnn", "resnet"])
def test_a_mirror_averaged_network_treats_both_views_as_predictions(family, call, cnn_block, resnet_block, prepared):
    """Batch norm and dropout would mix the views, were they taken for training."""
    architecture, block = {"cnn": (cnn(4), cnn_block), "resnet": (SMALL_RESNET, resnet_block)}[family]
    model = architecture.build(block, (32, 32, 3), 2)
    model(prepared.train.images, training=True)  # statistics that are not those of the next batch
    expected = both_views(model, prepared.validation.images)
    averaged = fit.mirror_averaged(model)
    np.testing.assert_allclose(call(averaged, prepared.validation.images), expected, atol=1e-5)


@pytest.fixture(scope="module")
def averaged(cnn_block, prepared, checkpoints_of_module) -> tuple[keras.Model, list[list[bool]]]:
    """A mirror-averaged model that was trained, and whether what trained, model and optimizer, was alive after each
    epoch and at the end."""
    parts, compiled = [], optimizer.compiled
    alive: list[list[bool]] = []

    def remembered(*arguments) -> keras.Model:
        model = compiled(*arguments)
        parts.extend([weakref.ref(model), weakref.ref(model.optimizer)])
        return model

    def look(row=None) -> None:
        alive.append([part() is not None for part in parts])

    block = override(cnn_block, {"mirror_average": True}, "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizer, "compiled", remembered)
        model, _ = fit.fit(TINY, as_run(block, prepared, name="averaged"), look)
    look()
    return model, alive


def test_what_trained_is_gone_before_the_averaged_model_predicts(averaged):
    """A large network's optimizer state and graphs would add to the memory that the prediction takes."""
    assert averaged[1] == [[True, True]] * 3 + [[False, False]]


def test_a_mirror_averaged_model_is_saved_without_the_optimizer(averaged, tmp_path):
    keras_file.write(tmp_path / "model.keras", averaged[0])
    assert "Adam" not in saved(tmp_path / "model.keras")[0]


@pytest.fixture(scope="module")
def batch_norms(cnn_block, prepared, checkpoints_of_module) -> tuple[list, list]:
    """The fused layers that a training used, and the batch norm layers of the model that it gave."""
    used, call = [], batchnorm.FusedBatchNormalization.call

    def remembered(self, *arguments, **options):
        used.append(self)
        return call(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batchnorm.FusedBatchNormalization, "call", remembered)
        model, _ = fit.fit(cnn(4), as_run(override(cnn_block, {"epochs": 1}, "test"), prepared))
    kinds = (batchnorm.FusedBatchNormalization, keras.layers.BatchNormalization)
    return used, [layer for layer in model.layers if isinstance(layer, kinds)]


def test_a_training_uses_the_fused_batch_norm(batch_norms):
    assert batch_norms[0]


def test_a_trained_model_has_keras_own_batch_norm(batch_norms):
    assert [type(layer) for layer in batch_norms[1]] == [keras.layers.BatchNormalization] * 2


CHANGES = {"data": True, "weights": True, "epochs": True, "nothing": False}


@pytest.mark.parametrize("changed", CHANGES)
def test_the_key_of_a_training_depends_on_its_files_and_epochs(params, prepared, prepared_file, tmp_path, changed):
    weights = tmp_path / "own.weights.h5"
    weights.write_bytes(b"weights")
    block = override(params.models["resnet50"], {"weights": str(weights)}, "test")
    before = fit.start("test", block, 1, prepared, 3).checkpoint.key
    match changed:
        case "data":
            prepared_file.write_bytes(b"other")
        case "weights":
            weights.write_bytes(b"other")
    after = fit.start("test", block, 1, prepared, 4 if changed == "epochs" else 3).checkpoint.key
    assert (after != before) == CHANGES[changed]


EPOCHS = {"the block's own": (None, 3), "others": (7, 7)}


@pytest.mark.parametrize(("epochs", "expected"), EPOCHS.values(), ids=EPOCHS)
def test_a_training_runs_for_the_blocks_epochs_or_those_it_is_given(
    cnn_block, prepared, prepared_file, epochs, expected
):
    assert fit.start("test", cnn_block, 1, prepared, epochs).epochs == expected
