"""ResNets resize and preprocess in their graph, and start from the given weights or are refused before any training."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from networks import CALLS, SMALL_RESNET, backbone_of, small_backbone

from study.base.runtime import UserError
from study.models.resnet.build import resnet
from study.models.resnet.schema import Resnet
from study.params.schema import override

SHAPE = (32, 32, 3)


@pytest.fixture
def source(tmp_path) -> tuple[keras.Model, Path]:
    """A small backbone, and the file of its weights."""
    backbone = small_backbone(False, None, (48, 48, 3), "max")
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    return backbone, tmp_path / "backbone.weights.h5"


@pytest.fixture
def pretrained(resnet_block, source) -> keras.Model:
    """A network on the small backbone's weights."""
    return SMALL_RESNET.build(with_weights(resnet_block, source[1]), SHAPE, 2)


def with_weights(block: Resnet, weights: Path | str) -> Resnet:
    return override(block, {"weights": str(weights)}, "test")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_images_are_resized_and_preprocessed_as_keras_applications_want_them(resnet_block, call):
    """However the network is called: Keras' Resizing rounds whole numbers to whole numbers, but not within a graph."""
    extractor = SMALL_RESNET.build(resnet_block, SHAPE, 10).get_layer("features")
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
    resized = keras.layers.Resizing(48, 48)(images.astype(np.float32))
    preprocessed = keras.applications.resnet.preprocess_input(resized)
    expected = extractor.get_layer("backbone")(preprocessed, training=False)
    np.testing.assert_allclose(call(extractor, images), np.array(expected), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_last_feature_map_is_pooled_as_the_block_says(resnet_block, pooling):
    backbone = backbone_of(SMALL_RESNET.build(override(resnet_block, {"pooling": pooling}, "test"), SHAPE, 10))
    kinds = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    assert type(backbone.layers[-1]) is kinds[pooling]


def test_the_dropout_before_the_last_layer_is_the_blocks(resnet_block):
    model = SMALL_RESNET.build(override(resnet_block, {"dropout": 0.3}, "test"), SHAPE, 10)
    dropout, dense = model.get_layer("head").layers
    assert (dropout.rate, dense.units) == (0.3, 10)


def test_a_backbone_without_given_weights_takes_the_blocks_momentum(resnet_block):
    model = SMALL_RESNET.build(override(resnet_block, {"batch_norm_momentum": 0.8}, "test"), SHAPE, 10)
    assert backbone_of(model).get_layer("bn").momentum == 0.8


def test_a_residual_branch_without_given_weights_starts_as_the_identity(resnet_block):
    model = resnet(keras.applications.ResNet50).build(resnet_block, SHAPE, 10)
    starts = {
        layer.name.endswith("_3_bn"): set(keras.ops.convert_to_numpy(layer.gamma).tolist())
        for layer in backbone_of(model).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert starts == {True: {0.0}, False: {1.0}}


def test_given_weights_are_those_of_the_backbone(pretrained, source):
    for found, expected in zip(backbone_of(pretrained).get_weights(), source[0].get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_pretrained_backbone_keeps_its_batch_norm_statistics(pretrained, prepared):
    norm = backbone_of(pretrained).get_layer("bn")
    before = norm.get_weights()
    pretrained(prepared.train.images, training=True)
    for found, expected in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_backbone_without_given_weights_learns_its_batch_norm_statistics(resnet_block, prepared):
    model = SMALL_RESNET.build(resnet_block, SHAPE, 2)
    norm = backbone_of(model).get_layer("bn")
    before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
    model(prepared.train.images, training=True)
    assert not np.array_equal(keras.ops.convert_to_numpy(norm.moving_mean), before)


UNFIT = ["missing.weights.h5", "other.weights.h5", "half.weights.h5", "deeper.weights.h5"]


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_weights_are_refused_in_one_line_and_without_a_warning(resnet_block, tmp_path, recwarn, name):
    small = small_backbone(False, None, (48, 48, 3), "max")
    deeper = keras.Sequential([small, keras.layers.Dense(4)])
    deeper.save_weights(tmp_path / "deeper.weights.h5")
    other = keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Conv2D(4, 3, name="other")])
    other.save_weights(tmp_path / "other.weights.h5")
    content = (tmp_path / "other.weights.h5").read_bytes()
    (tmp_path / "half.weights.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=name) as error:
        SMALL_RESNET.build(with_weights(resnet_block, tmp_path / name), SHAPE, 10)
    assert "\n" not in str(error.value)
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


def test_missing_weights_are_named_with_the_folder_that_was_searched(resnet_block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = rf"own\.weights\.h5, no file in .*{tmp_path.name} \(`dvc exp run` .* give an absolute path\); allowed: null"
    with pytest.raises(UserError, match=where):
        SMALL_RESNET.build(with_weights(resnet_block, "own.weights.h5"), SHAPE, 10)


def test_weights_that_claim_more_than_their_file_holds_are_refused(resnet_block, tmp_path):
    with h5py.File(tmp_path / "own.weights.h5", "w") as file:
        file.create_dataset("0", (10**6, 10**6), chunks=(100, 100))
    with pytest.raises(
        UserError, match=r"own\.weights\.h5, which does not hold the weights .* claim 4000000000000 bytes"
    ):
        SMALL_RESNET.build(with_weights(resnet_block, tmp_path / "own.weights.h5"), SHAPE, 10)


HOMES = {"Keras' own folder": (None, "~/.keras"), "KERAS_HOME": ("/data/keras", "/data/keras")}


@pytest.mark.parametrize(("home", "folder"), HOMES.values(), ids=HOMES)
def test_imagenet_weights_without_a_network_say_where_to_place_the_file(resnet_block, monkeypatch, home, folder):
    def offline(*args, **options):
        raise Exception("URL fetch failure on https://example.invalid: None -- Name or service not known")

    offline.__name__ = "ResNet50"
    monkeypatch.delenv("KERAS_HOME", raising=False)
    if home:
        monkeypatch.setenv("KERAS_HOME", home)
    file = r"resnet50_weights_tf_dim_ordering_tf_kernels_notop\.h5"
    with pytest.raises(UserError, match=rf"place {file} .* in {folder}/models"):
        resnet(offline).build(with_weights(resnet_block, "imagenet"), SHAPE, 10)
