"""The optimizer follows the block's schedule and decay, and is ready before the first step."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from study.params.schema import override
from study.training import optimizer

OPTIMIZERS = ["adam", "rmsprop", "sgd"]
WARMING = {"name": "cosine", "warmup_fraction": 0.25}
AT_ONCE = {"name": "cosine", "warmup_fraction": 0.0}


def rates(block, steps: int) -> list[float]:
    """The learning rate before each step, and after the last."""
    schedule = optimizer.learning_rate(block, steps)
    return [float(schedule(step)) for step in range(steps + 1)]


def test_the_cosine_schedule_starts_at_0_where_it_warms_up(cnn_block):
    assert rates(override(cnn_block, {"schedule": WARMING}, "test"), 40)[0] == 0.0


def test_the_cosine_schedule_is_highest_at_the_end_of_its_warm_up(cnn_block):
    values = rates(override(cnn_block, {"schedule": WARMING}, "test"), 40)
    assert values[10] == max(values) == pytest.approx(cnn_block.learning_rate)


@pytest.mark.parametrize("schedule", [pytest.param(WARMING, id="warm-up"), pytest.param(AT_ONCE, id="no warm-up")])
def test_the_cosine_schedule_ends_at_0(cnn_block, schedule):
    assert rates(override(cnn_block, {"schedule": schedule}, "test"), 40)[40] == pytest.approx(0.0, abs=1e-9)


def test_the_cosine_schedule_starts_at_the_rate_where_it_does_not_warm_up(cnn_block):
    values = rates(override(cnn_block, {"schedule": AT_ONCE}, "test"), 40)
    assert values[0] == max(values) == pytest.approx(cnn_block.learning_rate)


def test_the_cosine_schedule_takes_a_single_step_at_a_rate_above_0(cnn_block):
    block = override(cnn_block, {"schedule": {"name": "cosine", "warmup_fraction": 0.99}}, "test")
    assert rates(block, 1)[0] > 0


def test_a_plateau_leaves_the_rate_to_its_callback(params):
    block = params.models["cnn3_plateau"]
    assert optimizer.learning_rate(block, 40) == block.learning_rate


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_schedule_of_an_optimizer_spans_all_steps_of_all_epochs(cnn_block, name):
    """The rate after half of the steps is half of the highest."""
    block = override(cnn_block, {"optimizer": name, "schedule": AT_ONCE}, "test")
    chosen = optimizer.of_block(block, steps=10, epochs=4)
    variable = keras.Variable(np.ones((2, 2)), name="kernel")
    chosen.build([variable])
    for _ in range(20):
        chosen.apply([keras.ops.zeros((2, 2))], [variable])
    assert float(chosen.learning_rate) == pytest.approx(block.learning_rate / 2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_spares_biases_and_batch_norm(cnn_block, name):
    """A step without a gradient changes what decays and nothing else."""
    block = override(cnn_block, {"optimizer": name, "weight_decay": 0.5, "schedule": AT_ONCE}, "test")
    layers = [keras.layers.Conv2D(2, 1), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    variables = keras.Sequential([keras.Input((3, 3, 3)), *layers]).trainable_variables
    for variable in variables:
        variable.assign(keras.ops.ones_like(variable))
    chosen = optimizer.of_block(block, steps=1, epochs=1)
    chosen.build(variables)
    chosen.apply([keras.ops.zeros_like(variable) for variable in variables], variables)
    decayed = {
        variable.path.split("/")[-1]: not np.array_equal(variable, np.ones(variable.shape)) for variable in variables
    }
    assert decayed == {"kernel": True, "bias": False, "gamma": False, "beta": False}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_times_the_rate(cnn_block, name):
    block = override(cnn_block, {"optimizer": name, "weight_decay": 0.5, "schedule": AT_ONCE}, "test")
    kernel = keras.Variable(np.ones((2, 2)), name="kernel")
    chosen = optimizer.of_block(block, steps=1, epochs=1)
    chosen.build([kernel])
    chosen.apply([keras.ops.zeros((2, 2))], [kernel])
    np.testing.assert_allclose(kernel, 1 - 0.5 * block.learning_rate, rtol=1e-6)


KINDS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": optimizer.FusedSGD}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_is_the_blocks(cnn_block, name):
    chosen = optimizer.of_block(override(cnn_block, {"optimizer": name}, "test"), steps=1, epochs=1)
    assert type(chosen) is KINDS[name]


def test_sgd_has_nesterov_momentum(cnn_block):
    chosen = optimizer.of_block(override(cnn_block, {"optimizer": "sgd"}, "test"), steps=1, epochs=1)
    assert (chosen.momentum, chosen.nesterov) == (0.9, True)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_fused_step_of_sgd_is_the_one_of_keras(nesterov):
    """Two steps, since the first has no momentum to add."""
    weights = []
    for kind in (keras.optimizers.SGD, optimizer.FusedSGD):
        kernel = keras.Variable(np.array([[1.0, -2.0], [3.0, 0.5]], np.float32))
        chosen = kind(0.1, momentum=0.9, nesterov=nesterov)
        chosen.build([kernel])
        for gradient in ([[1.0, 0.5], [-0.2, 0.0]], [[0.3, -0.4], [0.1, 2.0]]):
            chosen.apply([keras.ops.array(gradient)], [kernel])
        weights.append(keras.ops.convert_to_numpy(kernel))
    np.testing.assert_allclose(*weights, rtol=1e-6)


class Counting(keras.layers.Dense):
    """A dense layer that counts how often its training is traced."""

    traces = 0

    def call(self, inputs, training=None):
        self.traces += bool(training)
        return super().call(inputs)


@pytest.fixture
def compiled(cnn_block) -> keras.Model:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Counting(2, activation="softmax")(inputs))
    return optimizer.compiled(model, optimizer.of_block(cnn_block, steps=2, epochs=2), 0.0)


def test_the_optimizer_of_a_compiled_model_is_built(compiled):
    assert compiled.optimizer.built


def test_the_training_step_is_traced_once(compiled):
    inputs, one_hot = np.zeros((8, 4), np.float32), np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    compiled.fit(inputs, one_hot, batch_size=4, epochs=2, verbose=0)
    assert compiled.layers[-1].traces == 1


def test_label_smoothing_is_spread_evenly_over_the_classes(cnn_block):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    optimizer.compiled(model, keras.optimizers.SGD(), 0.3)
    probabilities = np.array([[0.5, 0.3, 0.2]], np.float32)
    loss = model.evaluate(probabilities, np.array([[1.0, 0.0, 0.0]]), verbose=0)[0]
    assert loss == pytest.approx(-(np.array([0.8, 0.1, 0.1]) * np.log(probabilities)).sum(), rel=1e-5)


@pytest.mark.parametrize("images", [(5, 5), (9, 1), (2, 3, 7)])
def test_balanced_class_weights_are_those_of_scikit_learn(cnn_block, images):
    labels = np.repeat(np.arange(len(images)), images).astype(np.uint8)
    expected = compute_class_weight("balanced", classes=np.arange(len(images)), y=labels)
    found = optimizer.class_weight(override(cnn_block, {"class_weight": "balanced"}, "test"), labels)
    assert found == pytest.approx(dict(enumerate(expected)))


def test_without_class_weights_each_image_counts_the_same(cnn_block):
    assert optimizer.class_weight(cnn_block, np.array([0, 0, 1])) is None


def test_a_block_without_a_plateau_or_patience_has_no_callback(cnn_block):
    assert optimizer.callbacks(cnn_block) == []


def test_a_plateau_lowers_the_rate_as_the_block_says(params):
    block = params.models["cnn3_plateau"]
    plateau = optimizer.callbacks(block)[0]
    assert isinstance(plateau, keras.callbacks.ReduceLROnPlateau)
    found = (plateau.monitor, plateau.factor, plateau.patience, plateau.min_lr)
    schedule = block.schedule
    assert found == ("val_accuracy", schedule.factor, schedule.patience, schedule.minimum_learning_rate)
