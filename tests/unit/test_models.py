"""The six networks are the study's, layer for layer."""

import importlib
import io
import sys
import zipfile

import h5py
import keras
import numpy as np
import project
import pytest

from stages.lib import batchnorm, checkpoint, cnn, files, params, resnet, scoring, training
from stages.lib.dataset import Prepared, Split
from stages.lib.errors import UserError

# The original study's figures: parameters of each model for ten classes of 32 x 32 colour images.
PARAMETERS = {
    "cnn2": 1_259_914,
    "cnn2_dropout": 1_259_914,
    "cnn3_dropout": 219_850,
    "cnn3_plateau": 229_066,
    "resnet50": 23_608_202,
    "resnet101": 42_678_666,
}


@pytest.fixture(scope="module")
def ten_classes() -> Prepared:
    split = Split(np.zeros((20, 32, 32, 3), np.uint8), (np.arange(20) % 10).astype(np.uint8))
    return Prepared(split, split, [str(label) for label in range(10)])


@pytest.fixture
def build(as_run):
    return lambda name, block, prepared: importlib.import_module(f"stages.train.{name}").build(as_run(block, prepared))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_studys(name, raw_params, ten_classes, build):
    block = params.parse(raw_params).models[name]
    assert build(name, block, ten_classes).count_params() == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "filters", "dropout"),
    [
        ("cnn2", (64, 128), 0.0),
        ("cnn2_dropout", (64, 128), 0.2),
        ("cnn3_dropout", (64, 128, 64), 0.2),
        ("cnn3_plateau", (32, 64, 128), 0.2),
    ],
)
def test_layers_of_the_cnns_are_the_studys(name, filters, dropout, raw_params, ten_classes, build):
    model = build(name, params.parse(raw_params).models[name], ten_classes)
    drop = ["Dropout"] if dropout else []
    expected = ["InputLayer", "Rescaling"]
    expected += ["Conv2D", "BatchNormalization", "MaxPooling2D", "ReLU", *drop] * len(filters)
    expected += ["Flatten", "Dense", "BatchNormalization", "ReLU", *drop, "Dense"]
    assert [type(layer).__name__ for layer in model.layers] == expected
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert tuple(layer.filters for layer in convolutions) == filters
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.padding for layer in convolutions} == {"valid"}
    assert {layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)} == ({dropout} - {0.0})
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [256, 10]


def test_a_deeper_and_wider_block_has_its_further_convolutions_before_the_pooling(raw_params):
    changes = {"convolutions_per_block": 3, "width_multiplier": 2}
    block = params.override(params.parse(raw_params).models["cnn2"], changes, "test")
    layers = cnn.network((32, 32, 3), 10, (64, 128), block).layers
    expected = [("Conv2D", "valid"), ("Conv2D", "same"), ("Conv2D", "same"), ("MaxPooling2D", "valid")] * 2
    assert [(type(layer).__name__, layer.padding) for layer in layers if hasattr(layer, "padding")] == expected
    assert [layer.filters for layer in layers if hasattr(layer, "filters")] == [128] * 3 + [256] * 3


def test_further_blocks_double_the_filters_and_fit_small_images(raw_params):
    block = params.override(params.parse(raw_params).models["cnn3_dropout"], {"further_blocks": 2}, "test")
    network = cnn.network((22, 22, 3), 10, (64, 128, 64), block)
    assert [layer.filters for layer in network.layers if hasattr(layer, "filters")] == [64, 128, 64, 128, 256]
    assert network.output_shape == (None, 10)


def test_images_too_small_for_the_blocks_are_refused(raw_params):
    block = params.parse(raw_params).models["cnn3_dropout"]
    assert cnn.network((22, 22, 3), 10, (64, 128, 64), block).count_params() > 0
    with pytest.raises(UserError, match="allowed: 22 pixels or more"):
        cnn.network((21, 32, 3), 10, (64, 128, 64), block)


def test_the_plateau_model_has_the_studys_callbacks(raw_params):
    block = params.parse(raw_params).models["cnn3_plateau"]
    assert block.early_stopping_patience == 5
    assert block.schedule.name == "plateau"
    assert block.schedule.minimum_learning_rate == 1e-5


def small_backbone(include_top, weights, input_shape, pooling, name=None) -> keras.Model:
    """A backbone of a few layers with the interface of keras.applications."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 3, strides=4, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[pooling]()(x)
    model = keras.Model(inputs, x, name=name)
    if weights:
        model.load_weights(weights)
    return model


@pytest.fixture
def block(raw_params) -> params.Resnet:
    changes = {"image_size": 48, "batch_size": 8, "mirror_average": False}
    return params.override(params.parse(raw_params).models["resnet50"], changes, "test")


def test_a_resnet_resizes_and_preprocesses_in_its_graph(block, ten_classes):
    model = resnet.network(small_backbone, block, ten_classes.image_shape, 10)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    resized = keras.layers.Resizing(48, 48)(images.astype(np.float32))
    preprocessed = keras.applications.resnet.preprocess_input(resized)
    extractor = model.get_layer("features")
    expected = extractor.get_layer("backbone")(preprocessed, training=False)
    found = extractor.predict(images, verbose=0)
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-2)


def test_pretrained_weights_are_loaded_and_the_head_learns_on_them(block, tmp_path, prepared, as_run):
    source = small_backbone(False, None, (48, 48, 3), "max")
    source.save_weights(tmp_path / "backbone.weights.h5")
    changes = {"weights": str(tmp_path / "backbone.weights.h5"), "head": {"epochs": 40, "learning_rate": 0.01}}
    block = params.override(block, changes, "test")
    model = resnet.build(small_backbone, as_run(block, prepared))
    for found, expected in zip(
        model.get_layer("features").get_layer("backbone").get_weights(), source.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    accuracy = (
        model.predict(prepared.validation.images, verbose=0).argmax(axis=1) == prepared.validation.labels
    ).mean()
    assert accuracy == 1.0


def test_a_killed_head_computes_no_feature_twice_and_ends_with_the_same_bits(
    block, tmp_path, prepared, as_run, monkeypatch
):
    small_backbone(False, None, (48, 48, 3), "max").save_weights(tmp_path / "backbone.weights.h5")
    changes = {"weights": str(tmp_path / "backbone.weights.h5"), "head": {"epochs": 4, "learning_rate": 0.01}}
    block = params.override(block, changes, "test")
    monkeypatch.setattr(resnet, "FEATURE_FILE", 16)
    predict, save, computed = scoring.predict, checkpoint.Phase.save, []

    def built(**inputs) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        return resnet.build(small_backbone, as_run(block, prepared, **inputs)).get_weights()

    def fourth_call_killed(model, images):
        if len(computed) == 3:
            monkeypatch.setattr(scoring, "predict", counted)
            raise KeyboardInterrupt
        return counted(model, images)

    def counted(model, images):
        computed.append(len(images))
        return predict(model, images)

    def second_epoch_killed(self, *args):
        save(self, *args)
        if len(self.history) == 2:
            monkeypatch.setattr(checkpoint.Phase, "save", save)
            raise KeyboardInterrupt

    expected = built(whole=True)
    monkeypatch.setattr(scoring, "predict", fourth_call_killed)
    monkeypatch.setattr(checkpoint.Phase, "save", second_epoch_killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            built()
    went_on = built()
    assert sum(computed) == 2 * len(prepared.train)  # each image and its mirror image, once
    monkeypatch.setattr(resnet, "features", None)  # a finished head needs them no more
    for again in (went_on, built()):
        for one, other in zip(again, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_pretrained_backbone_keeps_its_batch_norm_statistics(block, tmp_path, prepared):
    source = small_backbone(False, None, (48, 48, 3), "max")
    source.save_weights(tmp_path / "backbone.weights.h5")
    block = params.override(block, {"weights": str(tmp_path / "backbone.weights.h5")}, "test")
    model = resnet.network(small_backbone, block, prepared.image_shape, 2)
    norm = model.get_layer("features").get_layer("backbone").get_layer("bn")
    before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
    model(prepared.train.images, training=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(norm.moving_mean), before)


def test_every_batch_norm_of_a_resnet_trains_with_the_fused_kernel(block):
    model = resnet.network(keras.applications.ResNet50, block, (32, 32, 3), 10)
    backbone = model.get_layer("features").get_layer("backbone")

    def kinds() -> list[type]:
        return [type(layer) for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]

    with batchnorm.fused(model):
        assert kinds() == [batchnorm.FusedBatchNormalization] * 53
    assert kinds() == [keras.layers.BatchNormalization] * 53


def test_a_pretrained_network_keeps_its_batch_norm_and_is_saved_without_an_optimizer(block, tmp_path, prepared, as_run):
    small_backbone(False, None, (48, 48, 3), "max").save_weights(tmp_path / "backbone.weights.h5")
    changes = {"weights": str(tmp_path / "backbone.weights.h5"), "head": {"epochs": 1, "learning_rate": 0.01}}
    run = as_run(params.override(block, changes, "test"), prepared)
    model, _ = training.fit(lambda run: resnet.build(small_backbone, run), run)
    norm = model.get_layer("features").get_layer("backbone").get_layer("bn")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(norm.moving_mean), 0.0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(norm.gamma), 1.0)
    files.write_model(tmp_path / "model.keras", model)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "Adam" not in archive.read("config.json").decode()
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            names = []
            weights.visit(names.append)
    assert names
    assert not [name for name in names if "optimizer" in name]


def test_weights_of_another_depth_are_refused(block, tmp_path):
    keras.applications.ResNet101(weights=None, include_top=False, input_shape=(48, 48, 3)).save_weights(
        tmp_path / "resnet101.weights.h5"
    )
    block = params.override(block, {"weights": str(tmp_path / "resnet101.weights.h5")}, "test")
    with pytest.raises(UserError, match=r"resnet101\.weights\.h5: does not hold the weights of a ResNet50 backbone"):
        resnet.network(keras.applications.ResNet50, block, (32, 32, 3), 10)


def test_unfit_weights_are_refused_in_one_line(block, tmp_path):
    other = keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Conv2D(4, 3, name="other")])
    other.save_weights(tmp_path / "other.weights.h5")
    whole = (tmp_path / "other.weights.h5").read_bytes()
    (tmp_path / "half.weights.h5").write_bytes(whole[: len(whole) // 2])
    for name in ("missing.weights.h5", "other.weights.h5", "half.weights.h5"):
        unfit = params.override(block, {"weights": str(tmp_path / name)}, "test")
        with pytest.raises(UserError, match=name) as error:
            resnet.network(small_backbone, unfit, (32, 32, 3), 10)
        assert "\n" not in str(error.value)


def test_imagenet_weights_without_a_network_say_where_to_place_the_file(block, monkeypatch):
    def offline(*args, **options):
        if options.get("weights") == "imagenet":
            raise Exception("URL fetch failure on https://example.invalid: None -- Name or service not known")
        return small_backbone(**options)

    offline.__name__ = "ResNet50"
    with pytest.raises(
        UserError, match=r"place resnet50_weights_tf_dim_ordering_tf_kernels_notop\.h5 .* in ~/\.keras/models"
    ):
        resnet.network(offline, params.override(block, {"weights": "imagenet"}, "test"), (32, 32, 3), 10)


def test_a_saved_model_has_the_same_bytes_each_time_and_predicts_the_same(block, tmp_path, ten_classes):
    models = []
    for name in ("a", "b"):
        keras.utils.clear_session()  # else layer names count on
        keras.utils.set_random_seed(1)
        model = resnet.network(small_backbone, block, ten_classes.image_shape, 10)
        model.compile("adam", "categorical_crossentropy")
        files.write_model(tmp_path / f"{name}.keras", model)
        models.append(model)  # kept, so that the second one lies at other addresses
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    again = files.read_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))
    assert not again.compiled


@pytest.mark.parametrize("limit", [10, 5_000, 100_000])
def test_weights_that_the_disk_cannot_hold_end_the_stage_in_one_line(limit, tmp_path):
    code = f"""
import resource, signal
from stages.lib import errors, files
def main():
    import keras
    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(1000)])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    files.write_model("models/model.keras", model)
errors.run(main)
"""
    done = project.shell(tmp_path, sys.executable, "-c", code, check=False, PYTHONPATH=str(project.ROOT))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: checkpoints: cannot hold the model to save")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_damaged_model_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(tmp_path / "whole.keras")
    (tmp_path / "half.keras").write_bytes((tmp_path / "whole.keras").read_bytes()[:500])
    for name in ("half.keras", "missing.keras"):
        with pytest.raises(UserError, match=name) as error:
            files.read_model(tmp_path / name)
        assert "\n" not in str(error.value)
