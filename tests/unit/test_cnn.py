"""The convolutional networks are the study's, layer for layer, unless the block makes them deeper or wider."""

import keras
import numpy as np
import pytest

from study.base.runtime import UserError
from study.models.cnn.build import cnn
from study.models.common import scripts
from study.params.schema import override
from study.training import batches, batchnorm, optimizer

MODELS = {
    "cnn2": ((64, 128), 0.0),
    "cnn2_dropout": ((64, 128), 0.2),
    "cnn3_dropout": ((64, 128, 64), 0.2),
    "cnn3_plateau": ((32, 64, 128), 0.2),
}
each_model = pytest.mark.parametrize("name", MODELS, scope="module")


def of_kind(model: keras.Model, *kinds: type) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, kinds)]


@pytest.fixture(scope="module")
def model(params, name) -> keras.Model:
    """The model of this name as committed, for ten classes of images of 32 pixels."""
    return scripts.architecture(name).build(params.models[name], (32, 32, 3), 10)


@each_model
def test_the_layers_are_the_studys(model, name):
    filters, dropout = MODELS[name]
    drop = ["Dropout"] if dropout else []
    expected = ["InputLayer", "Rescaling"]
    expected += ["Conv2D", "BatchNormalization", "MaxPooling2D", "ReLU", *drop] * len(filters)
    expected += ["Flatten", "Dense", "BatchNormalization", "ReLU", *drop, "Dense"]
    assert [type(layer).__name__ for layer in model.layers] == expected


@each_model
def test_the_convolutions_are_the_studys(model, name):
    found = [
        (layer.filters, layer.kernel_size, layer.strides, layer.padding)
        for layer in of_kind(model, keras.layers.Conv2D)
    ]
    assert found == [(filters, (3, 3), (1, 1), "valid") for filters in MODELS[name][0]]


@each_model
def test_the_pooling_is_the_studys(model, name):
    found = {(layer.pool_size, layer.strides, layer.padding) for layer in of_kind(model, keras.layers.MaxPooling2D)}
    assert found == {((2, 2), (2, 2), "valid")}


@each_model
def test_the_dense_layers_are_the_studys(model, name):
    assert [layer.units for layer in of_kind(model, keras.layers.Dense)] == [256, 10]


@each_model
def test_the_dropout_is_the_blocks(model, name):
    filters, dropout = MODELS[name]
    found = [layer.rate for layer in of_kind(model, keras.layers.Dropout)]
    assert found == ([dropout] * (len(filters) + 1) if dropout else [])


def test_the_plateau_model_has_the_studys_callbacks(params):
    block = params.models["cnn3_plateau"]
    found = (block.early_stopping_patience, block.schedule.name, block.schedule.minimum_learning_rate)
    assert found == (5, "plateau", 1e-5)


def test_a_deeper_and_wider_block_has_its_further_convolutions_before_the_pooling(params):
    changes = {"convolutions_per_block": 3, "width_multiplier": 2}
    layers = cnn(64, 128).build(override(params.models["cnn2"], changes, "test"), (32, 32, 3), 10).layers
    expected = [("Conv2D", "valid"), ("Conv2D", "same"), ("Conv2D", "same"), ("MaxPooling2D", "valid")] * 2
    assert [(type(layer).__name__, layer.padding) for layer in layers if hasattr(layer, "padding")] == expected


def test_a_wider_block_has_so_many_times_the_filters(params):
    block = override(params.models["cnn2"], {"width_multiplier": 2}, "test")
    model = cnn(64, 128).build(block, (32, 32, 3), 10)
    assert [layer.filters for layer in of_kind(model, keras.layers.Conv2D)] == [128, 256]


def test_further_blocks_double_the_filters(params):
    block = override(params.models["cnn3_dropout"], {"further_blocks": 2}, "test")
    model = cnn(64, 128, 64).build(block, (32, 32, 3), 10)
    assert [layer.filters for layer in of_kind(model, keras.layers.Conv2D)] == [64, 128, 64, 128, 256]


def test_further_blocks_fit_the_smallest_images(params):
    block = override(params.models["cnn3_dropout"], {"further_blocks": 2}, "test")
    assert cnn(64, 128, 64).build(block, (22, 22, 3), 10).output_shape == (None, 10)


def test_the_smallest_images_are_accepted(params):
    model = cnn(64, 128, 64).build(params.models["cnn3_dropout"], (22, 22, 3), 10)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("shape", [pytest.param((21, 32, 3), id="too low"), pytest.param((32, 21, 3), id="too narrow")])
def test_images_too_small_for_the_blocks_are_refused(params, shape):
    with pytest.raises(UserError, match="allowed: 22 pixels or more"):
        cnn(64, 128, 64).build(params.models["cnn3_dropout"], shape, 10)


def test_the_bias_before_a_batch_norm_is_not_trained(cnn_block, prepared):
    model = cnn(4, 8).build(cnn_block, prepared.image_shape, 2)
    convolutions = of_kind(model, keras.layers.Conv2D)
    before = [layer.get_weights() for layer in convolutions]
    trained = optimizer.compiled(batchnorm.fused(model), keras.optimizers.Adam(0.01), 0.0)
    trained.run_eagerly = True
    trained.train_on_batch(*next(batches.augmented(prepared.train, 2, 8, cnn_block.augmentation, 0)))
    changed = [
        [not np.array_equal(*pair) for pair in zip(layer.get_weights(), weights, strict=True)]
        for layer, weights in zip(convolutions, before, strict=True)
    ]
    assert changed == [[True, False], [True, False]]  # kernel and bias
