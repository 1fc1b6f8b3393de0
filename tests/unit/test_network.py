"""Training is right, the same every time, and looks at validation alone."""

import gc
import itertools
import weakref
from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow
from networks import CALLS, PLATEAU, SMALL_RESNET, TINY, as_run, one_in_ten, saved, tiny, train

from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.cnn.build import cnn
from study.models.cnn.schema import Cnn
from study.models.common.architecture import Architecture
from study.params.schema import override
from study.scoring.predict import predict
from study.training import batchnorm, network, optimizer
from study.training.network import Network
from study.training.run import Run, checkpoint_of, repeats
from study.training.task import Result, here

pytestmark = pytest.mark.usefixtures("checkpoints")


@dataclass
class Training:
    """What came of a training and what `on_epoch` saw."""

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    rows: list[dict[str, float]]


@pytest.fixture(scope="module")
def trained(cnn_block, prepared, checkpoints_of_module) -> Training:
    rows = []
    model, history = train(TINY, as_run(cnn_block), prepared, rows.append)
    return Training(model.get_weights(), history, rows)


def test_the_same_run_gives_the_same_bits(trained, cnn_block, prepared):
    model, _ = train(TINY, as_run(cnn_block), prepared)
    pairs = zip(model.get_weights(), trained.weights, strict=True)
    assert all(np.array_equal(one, same) for one, same in pairs)


@pytest.mark.slow
@pytest.mark.parametrize(("class_weight", "share"), [(None, 0.1), ("balanced", 0.5)])
def test_class_weights_make_a_rare_class_as_likely_as_the_other(cnn_block, prepared, class_weight, share):
    alike = replace(prepared, train=one_in_ten())
    block = override(cnn_block, {"epochs": 30, "class_weight": class_weight}, "test")
    model, _ = train(TINY, as_run(block), alike)
    assert predict(model, alike.train.images[:1])[0, 1] == pytest.approx(share, abs=0.1)


REPEATED = {
    "cosine": {},
    "plateau and early stopping": {"epochs": 8, "schedule": PLATEAU, "early_stopping_patience": 2},
    "sgd, mean of mirror images": {"optimizer": "sgd", "mirror_average": True},
    "rmsprop, bfloat16": {"optimizer": "rmsprop", "precision": "mixed_bfloat16"},
}


def trained_by_one(architecture: Architecture, prepared, *runs: Run) -> list[tuple[list[np.ndarray], list[dict]]]:
    """Weights and history of each run, all trained by one Network."""
    network = Network(architecture, prepared)
    trained = (network.train(run, checkpoint_of(run)) for run in runs)
    return [(model.get_weights(), history) for model, history in trained]


def assert_trained_as_if_alone(architecture: Architecture, prepared, *runs: Run) -> None:
    for run, (weights, history) in zip(runs, trained_by_one(architecture, prepared, *runs), strict=True):
        model, alone = train(architecture, replace(run, name=f"alone-{run.name}"), prepared)
        assert history == alone
        assert all(np.array_equal(one, same) for one, same in zip(weights, model.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("changes", REPEATED.values(), ids=REPEATED)
def test_a_repeat_has_the_weights_of_its_run_alone(cnn_block, prepared, changes):
    block = override(cnn_block, changes, "test")
    assert_trained_as_if_alone(cnn(4), prepared, *(as_run(block, seed, f"repeat-{seed}") for seed in (1, 2)))


@pytest.mark.slow
def test_a_run_of_another_block_or_length_has_the_weights_of_its_run_alone(cnn_block, prepared):
    first = as_run(cnn_block, name="first")
    other = as_run(override(cnn_block, {"learning_rate": 0.02, "mirror_average": True}, "test"), name="other")
    longer = replace(other, name="longer", epochs=4)
    assert_trained_as_if_alone(TINY, prepared, first, other, longer)


class Counted(keras.layers.Layer):
    """Counts how often it is built into a graph."""

    calls = 0

    def call(self, inputs):
        Counted.calls += 1
        return inputs


def calls(prepared, *runs: Run) -> int:
    Counted.calls = 0
    counted = Architecture(Cnn, lambda *arguments: keras.Sequential([tiny(*arguments), Counted()]))
    trained_by_one(counted, prepared, *runs)
    return Counted.calls


@pytest.mark.slow
def test_a_repeat_traces_nothing_anew(cnn_block, prepared):
    """It only builds a network once, whose variables it takes over."""
    runs = [as_run(cnn_block, seed, f"counted-{seed}") for seed in (1, 2, 3)]
    assert calls(prepared, *runs) == calls(prepared, as_run(cnn_block, 1, "counted-alone")) + 2


def test_another_seed_gives_other_weights(trained, cnn_block, prepared):
    model, _ = train(TINY, as_run(cnn_block, seed=2), prepared)
    pairs = zip(model.get_weights(), trained.weights, strict=True)
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


def test_a_rate_that_breaks_training_is_named(cnn_block, prepared):
    def broken(*arguments):
        model = tiny(*arguments)
        model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.nan))
        return model

    with pytest.raises(UserError, match=r"^params\.yaml: models\.test\.learning_rate is 0\.01, and "):
        train(Architecture(Cnn, broken), as_run(cnn_block), prepared)


def test_the_fault_of_a_network_names_the_block_and_the_param(resnet_block, prepared):
    block = override(resnet_block, {"weights": "none.h5"}, "test")
    with pytest.raises(UserError, match=r"^params\.yaml: models\.test\.weights is none\.h5, no file"):
        train(SMALL_RESNET, as_run(block), prepared)


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


@pytest.mark.parametrize(
    ("family", "lack"), [("cnn", "NumPy's"), ("cnn", "TensorFlow's"), ("cnn", "Python's"), ("resnet", "NumPy's")]
)
def test_a_lack_of_memory_names_the_block_and_what_takes_memory(cnn_block, resnet_block, prepared, family, lack):
    error, allocation = LACKS[lack]

    def large(*arguments):
        raise error

    block = {"cnn": cnn_block, "resnet": resnet_block}[family]
    with pytest.raises(UserError) as shown:
        train(Architecture(type(block), large), as_run(block), prepared)
    expected = f"params.yaml: models.test: out of memory{allocation}; less is needed by a smaller {SIZES[family]}"
    assert str(shown.value) == expected


def test_early_stopping_keeps_the_best_epoch(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 30, "early_stopping_patience": 2}, "test")
    model, history = train(TINY, as_run(block), prepared)
    best = max(row["val_accuracy"] for row in history)
    assert len(history) < 30
    right = predict(model, prepared.validation.images).argmax(axis=1) == prepared.validation.labels
    assert right.mean() == best


def test_a_plateau_halves_the_rate(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 8, "schedule": PLATEAU, "learning_rate": 0.016}, "test")
    _, history = train(TINY, as_run(block), prepared)
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == pytest.approx(0.016)
    assert rates[-1] < 0.016
    ratios = [later / earlier for earlier, later in itertools.pairwise(rates)]
    assert all(ratio == 1.0 or ratio == pytest.approx(0.5) for ratio in ratios)


def test_a_batch_larger_than_the_training_split_holds_all_of_it(cnn_block, prepared):
    block = override(cnn_block, {"epochs": 1, "batch_size": 1000}, "test")
    assert len(train(TINY, as_run(block), prepared)[1]) == 1


def test_what_on_epoch_raises_ends_the_training(cnn_block, prepared):
    seen = []

    def stop(row):
        seen.append(row)
        raise LookupError

    with pytest.raises(LookupError):
        train(TINY, as_run(cnn_block), prepared, stop)
    assert len(seen) == 1


each_precision = pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])


def both_views(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The mean of a model's probabilities for images and for their mirror images."""
    views = [predict(model, view).astype(np.float32) for view in (images, images[:, :, ::-1])]
    assert not np.array_equal(*views)
    return np.mean(views, axis=0)


@pytest.mark.slow
@each_precision
def test_a_training_with_mirror_average_gives_the_mean_of_both_views_of_one_without(cnn_block, prepared, precision):
    single = override(cnn_block, {"precision": precision, "epochs": 1}, "test")
    plain, _ = train(TINY, as_run(single), prepared)
    expected = both_views(plain, prepared.validation.images)
    averaged, _ = train(TINY, as_run(override(single, {"mirror_average": True}, "test")), prepared)
    np.testing.assert_allclose(predict(averaged, prepared.validation.images), expected, atol=1e-6)


@each_precision
def test_a_mirror_averaged_model_that_was_read_gives_the_mean_of_both_views(cnn_block, prepared, tmp_path, precision):
    keras.config.set_dtype_policy(precision)
    model = tiny(cnn_block, (32, 32, 3), 2)
    keras_file.write(tmp_path / "model.keras", network.mirror_averaged(model))
    found = predict(keras_file.read(tmp_path / "model.keras"), prepared.validation.images)
    np.testing.assert_allclose(found, both_views(model, prepared.validation.images), atol=1e-6)


def test_a_mirror_averaged_model_has_no_further_weights(cnn_block):
    model = tiny(cnn_block, (32, 32, 3), 2)
    assert network.mirror_averaged(model).count_params() == model.count_params()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("family", ["cnn", "resnet"])
def test_a_mirror_averaged_network_treats_both_views_as_predictions(family, call, cnn_block, resnet_block, prepared):
    """Batch norm and dropout would mix the views, were they taken for training."""
    architecture, block = {"cnn": (cnn(4), cnn_block), "resnet": (SMALL_RESNET, resnet_block)}[family]
    model = architecture.build(block, (32, 32, 3), 2)
    model(prepared.train.images, training=True)  # statistics that are not those of the next batch
    expected = both_views(model, prepared.validation.images)
    averaged = network.mirror_averaged(model)
    np.testing.assert_allclose(call(averaged, prepared.validation.images), expected, atol=1e-5)


def test_what_trained_is_gone_before_the_network_of_another_block_is_built(cnn_block, prepared, monkeypatch):
    """Else two large networks, their optimizers' states and their graphs would take memory at once."""
    compiled, parts, alive = optimizer.compiled, [], []

    def build(*arguments) -> keras.Model:
        alive.append([part() is not None for part in parts])
        return tiny(*arguments)

    def remembered(*arguments) -> keras.Model:
        model = compiled(*arguments)
        parts.extend([weakref.ref(model), weakref.ref(model.optimizer)])
        return model

    monkeypatch.setattr(optimizer, "compiled", remembered)
    other = override(cnn_block, {"learning_rate": 0.02}, "test")
    trained_by_one(Architecture(Cnn, build), prepared, as_run(cnn_block, name="first"), as_run(other, name="other"))
    assert alive == [[], [False, False]]


def test_the_graph_of_the_training_step_is_gone_after_the_run(cnn_block, prepared, monkeypatch):
    """It holds the network's weights and the optimizer's state, which a search would gather trial by trial."""
    graphs, apply = [], keras.optimizers.Optimizer.apply

    def remembered(self, gradients, variables):
        graphs.append(weakref.ref(gradients[0].graph))
        return apply(self, gradients, variables)

    monkeypatch.setattr(keras.optimizers.Optimizer, "apply", remembered)
    train(TINY, as_run(override(cnn_block, {"epochs": 1}, "test"), name="gone"), prepared)
    gc.collect()
    assert [graph() for graph in graphs] == [None]


def test_a_run_that_a_worker_finished_is_taken_and_not_trained_again(cnn_block, prepared, monkeypatch):
    run = as_run(cnn_block, name="finished")
    model, history = train(TINY, run, prepared)
    result = Result(roc_auc=None, history=history, diverged=None, kind="")
    checkpoint_of(run).finish(result, model.get_weights())
    monkeypatch.setattr(Network, "train", None)
    ((taken, again),) = here(TINY, prepared, [run])
    assert taken == result
    assert [each.tobytes() for each in again.get_weights()] == [each.tobytes() for each in model.get_weights()]


def test_a_mirror_averaged_model_is_saved_without_the_optimizer(cnn_block, prepared, tmp_path):
    block = override(cnn_block, {"mirror_average": True, "epochs": 1}, "test")
    model, _ = train(TINY, as_run(block, name="averaged"), prepared)
    keras_file.write(tmp_path / "model.keras", model)
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
        model, _ = train(cnn(4), as_run(override(cnn_block, {"epochs": 1}, "test")), prepared)
    kinds = (batchnorm.FusedBatchNormalization, keras.layers.BatchNormalization)
    return used, [layer for layer in model.layers if isinstance(layer, kinds)]


def test_a_training_uses_the_fused_batch_norm(batch_norms):
    assert batch_norms[0]


def test_a_trained_model_has_keras_own_batch_norm(batch_norms):
    assert [type(layer) for layer in batch_norms[1]] == [keras.layers.BatchNormalization] * 2


CHANGES = {"data": True, "weights": True, "epochs": True, "nothing": False}


@pytest.mark.parametrize("changed", CHANGES)
def test_the_key_of_a_run_depends_on_its_files_and_epochs(params, prepared_file, tmp_path, changed):
    weights = tmp_path / "own.weights.h5"
    weights.write_bytes(b"weights")
    block = override(params.models["resnet50"], {"weights": str(weights)}, "test")

    def key(epochs: int) -> str:
        first = repeats("test", "resnet50", override(block, {"epochs": epochs}, "test"), 1, "test")[0]
        return checkpoint_of(first).key

    before = key(3)
    match changed:
        case "data":
            prepared_file.write_bytes(b"other")
        case "weights":
            weights.write_bytes(b"other")
    assert (key(4 if changed == "epochs" else 3) != before) == CHANGES[changed]
