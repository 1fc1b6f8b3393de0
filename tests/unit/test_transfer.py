"""The head learns on the frozen backbone's features, and a killed one goes on without computing any twice."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from networks import SMALL_RESNET, Killed, as_run, backbone_of, one_in_ten, saved, small_backbone, train

from study.base import files
from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.resnet.schema import Resnet
from study.params.schema import override
from study.training import transfer
from study.training.checkpoint import Checkpoint, Unkept
from study.training.run import Run, checkpoint_of

pytestmark = [pytest.mark.usefixtures("checkpoints"), pytest.mark.slow]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """The weights of a small backbone."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    keras.utils.set_random_seed(3)
    small_backbone(False, None, (48, 48, 3), "max").save_weights(path)
    return path


@pytest.fixture(scope="module")
def block(resnet_block, weights) -> Resnet:
    """A block on these weights, with a head that trains for four epochs."""
    changes = {"weights": str(weights), "head": {"epochs": 4, "learning_rate": 0.01}, "epochs": 1}
    return override(resnet_block, changes, "test")


def with_head(run: Run, prepared) -> keras.Model:
    """The network with its head trained."""
    keras.utils.set_random_seed(0)
    model = SMALL_RESNET.build(run.block, prepared.image_shape, len(prepared.class_names))
    transfer.train_head(model, run, prepared, checkpoint_of(run))
    return model


def test_the_head_learns(block, prepared):
    model = with_head(as_run(override(block, {"head": {"epochs": 40, "learning_rate": 0.01}}, "test")), prepared)
    found = model.predict(prepared.validation.images, verbose=0).argmax(axis=1)
    assert (found == prepared.validation.labels).mean() == 1.0


@pytest.mark.parametrize(("class_weight", "share"), [(None, 0.1), ("balanced", 0.5)])
def test_the_head_learns_with_class_weights(block, prepared, class_weight, share):
    alike = replace(prepared, train=one_in_ten())
    changes = {"head": {"epochs": 40, "learning_rate": 0.05}, "class_weight": class_weight}
    model = with_head(as_run(override(block, changes, "test")), alike)
    assert model.predict(alike.train.images[:1], verbose=0)[0, 1] == pytest.approx(share, abs=0.1)


@pytest.fixture(scope="module")
def whole(block, prepared, checkpoints_of_module) -> keras.Model:
    """A network whose head was trained at one go, with 16 images per file of features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "FEATURE_FILE", 16)
        return with_head(as_run(block, name="whole"), prepared)


def test_the_backbone_keeps_the_given_weights_while_the_head_learns(whole, weights):
    expected = small_backbone(False, weights, (48, 48, 3), "max")
    for one, other in zip(backbone_of(whole).get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rate_that_breaks_the_head_is_named(block, prepared, monkeypatch):
    features = transfer.features
    monkeypatch.setattr(transfer, "features", lambda *arguments: features(*arguments) * np.nan)
    with pytest.raises(UserError, match=r"^params\.yaml: models\.test\.head\.learning_rate is 0\.01, "):
        with_head(as_run(block), prepared)


def test_features_are_those_of_each_image_of_each_view(block, prepared):
    extractor = SMALL_RESNET.build(block, (32, 32, 3), 2).get_layer("features")
    images = prepared.train.images
    views = [images, images[:, :, ::-1]]
    expected = extractor.predict(np.concatenate(views), verbose=0)
    np.testing.assert_allclose(transfer.features(extractor, views, Unkept()), expected, rtol=2e-3, atol=1e-2)


@pytest.mark.parametrize(("flip", "views"), [(True, 2), (False, 1)])
def test_the_head_learns_from_mirror_images_if_the_block_flips(block, prepared, monkeypatch, flip, views):
    seen = []

    def features(extractor, views, checkpoint):
        seen.append(len(views))
        raise Killed

    monkeypatch.setattr(transfer, "features", features)
    flipping = override(block, {"augmentation": {"flip": flip, "shift_pixels": 2}}, "test")
    with pytest.raises(Killed):
        with_head(as_run(flipping), prepared)
    assert seen == [views]


@pytest.fixture(scope="module")
def killed(block, prepared, checkpoints_of_module) -> tuple[keras.Model, int]:
    """A network whose head's training went on after it was killed before the fourth file of features and after the
    second epoch; and how many images' features were computed."""
    predict, write, computed, kills = transfer.predict, Checkpoint.write, [], []

    def counted(model, images):
        if len(computed) == 3 and not kills:
            kills.append("features")
            raise Killed
        computed.append(len(images))
        return predict(model, images)

    def written(self, name, **arrays):
        write(self, name, **arrays)
        if name == "head":
            kills.append("epoch")
            if kills.count("epoch") == 2:
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "FEATURE_FILE", 16)
        patch.setattr(transfer, "predict", counted)
        patch.setattr(Checkpoint, "write", written)
        for _ in range(2):
            with pytest.raises(Killed):
                with_head(as_run(block, name="killed"), prepared)
        assert kills == ["features", "epoch", "epoch"]
        return with_head(as_run(block, name="killed"), prepared), sum(computed)


def test_a_killed_head_ends_with_the_same_bits(killed, whole):
    for one, other in zip(killed[0].get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_killed_head_computes_no_feature_twice(killed, prepared):
    assert killed[1] == 2 * len(prepared.train)  # each image and its mirror image, once


def test_a_finished_head_needs_no_features(whole, block, prepared, monkeypatch, checkpoints_of_module):
    monkeypatch.setattr(files, "CHECKPOINTS", checkpoints_of_module)
    monkeypatch.setattr(transfer, "features", None)
    again = with_head(as_run(block, name="whole"), prepared)
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def fine_tuned(block, prepared, checkpoints_of_module) -> keras.Model:
    return train(SMALL_RESNET, as_run(block, name="fine-tuned"), prepared)[0]


STARTS = {"moving_mean": 0.0, "gamma": 1.0}


@pytest.mark.parametrize("statistic", STARTS)
def test_fine_tuning_leaves_the_batch_norm_of_given_weights_alone(fine_tuned, statistic):
    norm = backbone_of(fine_tuned).get_layer("bn")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(getattr(norm, statistic)), STARTS[statistic])


def test_fine_tuning_trains_the_convolutions_of_given_weights(fine_tuned, weights):
    kernel = backbone_of(fine_tuned).get_layer("conv").kernel
    given = small_backbone(False, weights, (48, 48, 3), "max").get_layer("conv").kernel
    assert not np.array_equal(keras.ops.convert_to_numpy(kernel), keras.ops.convert_to_numpy(given))


@pytest.fixture(scope="module")
def saved_model(fine_tuned, tmp_path_factory) -> tuple[str, list[str]]:
    """The configuration and the names in the file of a fine-tuned model."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras_file.write(path, fine_tuned)
    return saved(path)


def test_a_fine_tuned_model_is_saved_without_an_optimizer(saved_model):
    assert "Adam" not in saved_model[0]
    assert "RMSprop" not in saved_model[0]


def test_a_fine_tuned_model_is_saved_without_the_state_of_an_optimizer(saved_model):
    assert saved_model[1]
    assert not [name for name in saved_model[1] if "optimizer" in name]
