"""The fused batch norm trains as Keras' own does, and stands in for it only where it can."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from study.models.cnn.build import cnn
from study.models.resnet.build import resnet
from study.params.schema import override
from study.training import batches, batchnorm
from study.training.batchnorm import FusedBatchNormalization


def layers_of(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def kinds(model: keras.Model) -> list[type]:
    """The kind of each batch norm layer."""
    both = (keras.layers.BatchNormalization, FusedBatchNormalization)
    return [type(layer) for layer in layers_of(model) if isinstance(layer, both)]


@pytest.fixture(scope="module")
def pair(cnn_block, prepared) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Two equal networks of plain layers, and the second with fused batch norm."""
    keras.utils.set_random_seed(0)
    block = override(cnn_block, {"dropout": 0.0}, "test")
    plain, other = (cnn(8, 16).build(block, prepared.image_shape, 2) for _ in range(2))
    other.set_weights(plain.get_weights())
    return plain, other, batchnorm.fused(other)


@pytest.fixture(scope="module")
def trained(pair, cnn_block, prepared) -> list[list[float]]:
    """The losses of three steps of the plain and of the fused network."""
    plain, _, fused = pair
    images, labels = next(batches.augmented(prepared.train, 2, 16, cnn_block.augmentation, 0))
    for model in (plain, fused):
        model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", run_eagerly=True)
    return [[model.train_on_batch(images, labels) for _ in range(3)] for model in (plain, fused)]


def test_the_losses_are_those_of_keras_own_batch_norm(trained):
    plain, fused = trained
    np.testing.assert_allclose(fused, plain, rtol=1e-3)


def test_the_weights_and_statistics_after_training_are_those_of_keras_own_batch_norm(pair, trained):
    plain, other, _ = pair
    for found, expected in zip(other.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("which", [pytest.param(1, id="plain layers"), pytest.param(2, id="fused layers")])
def test_the_predictions_after_training_are_those_of_keras_own_batch_norm(pair, trained, prepared, which):
    images = prepared.validation.images
    expected = pair[0].predict(images, verbose=0)
    np.testing.assert_allclose(pair[which].predict(images, verbose=0), expected, atol=1e-4)


def test_a_fused_model_shares_every_weight(pair):
    _, other, fused = pair
    assert {id(variable) for variable in fused.variables} == {id(variable) for variable in other.variables}


def test_the_model_itself_keeps_keras_own_batch_norm(pair):
    assert kinds(pair[1]) == [keras.layers.BatchNormalization] * 3


def test_every_batch_norm_of_feature_maps_is_fused(pair):
    """The one behind the dense layer is not of feature maps."""
    assert kinds(pair[2]) == [FusedBatchNormalization, FusedBatchNormalization, keras.layers.BatchNormalization]


def test_every_batch_norm_of_a_resnet_is_fused(resnet_block):
    block = override(resnet_block, {"image_size": 32}, "test")
    model = resnet(keras.applications.ResNet50).build(block, (32, 32, 3), 2)
    assert kinds(batchnorm.fused(model)) == [FusedBatchNormalization] * 53
    assert kinds(model) == [keras.layers.BatchNormalization] * 53


OTHERS = {
    "without scale": {"scale": False},
    "without centre": {"center": False},
    "of another axis": {"axis": 1},
    "with renormalisation": {"renorm": True},
}


@pytest.fixture
def batch_norm_alone(request) -> keras.Model:
    inputs = keras.Input((4, 4, 3))
    return batchnorm.fused(keras.Model(inputs, keras.layers.BatchNormalization(**request.param)(inputs)))


@pytest.mark.parametrize("batch_norm_alone", OTHERS.values(), ids=OTHERS, indirect=True)
def test_a_batch_norm_of_another_kind_is_left_to_keras(batch_norm_alone):
    assert kinds(batch_norm_alone) == [keras.layers.BatchNormalization]


@pytest.mark.parametrize("batch_norm_alone", OTHERS.values(), ids=OTHERS, indirect=True)
def test_a_batch_norm_of_another_kind_trains(batch_norm_alone):
    batch_norm_alone.compile("sgd", "mse")
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 3))
    assert np.isfinite(batch_norm_alone.train_on_batch(images, images))


def test_a_frozen_batch_norm_keeps_its_statistics():
    inputs = keras.Input((4, 4, 3))
    plain = keras.layers.BatchNormalization()
    model = batchnorm.fused(keras.Model(inputs, plain(inputs)))
    plain.trainable = False
    before = plain.get_weights()
    model(np.random.default_rng(0).normal(size=(8, 4, 4, 3)), training=True)
    for found, expected in zip(plain.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_running_variance_of_few_numbers_is_keras_own():
    """Of eight numbers per channel: the kernel divides by seven, Keras by eight."""
    images = np.random.default_rng(0).normal(size=(2, 2, 2, 3)).astype(np.float32)
    statistics = []
    for prepare in (lambda model: model, batchnorm.fused):
        inputs = keras.Input((2, 2, 3))
        plain = keras.layers.BatchNormalization(momentum=0.5)
        prepare(keras.Model(inputs, plain(inputs)))(images, training=True)
        statistics.append(keras.ops.convert_to_numpy(plain.moving_variance))
    np.testing.assert_allclose(statistics[1], statistics[0], rtol=1e-5)
