"""A model is the same model as ONNX, has the same bytes each time, and says in its file what predictions need."""

import resource
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import project
import pytest
from networks import SMALL_RESNET, TINY
from PIL import Image

from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.model_files import card, keras_file
from study.model_files.card import Card
from study.scoring.predict import predict
from study.serving import export, onnx_export, onnx_file
from study.serving.keras_model import KerasModel
from study.training.network import mirror_averaged

onnx = pytest.importorskip("onnx", reason="needs the extra onnx: make extras")
tf2onnx = pytest.importorskip("tf2onnx", reason="needs the extra onnx: make extras")

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
CARD = Card(["cat", "dog, wet", "café"], 1.25, "pad")
FAMILIES = ["cnn", "resnet", "cnn in bfloat16"]


def built(family: str, blocks: dict) -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_bfloat16" if "bfloat16" in family else "float32")
    kind = family.split()[0]
    model = {"cnn": TINY, "resnet": SMALL_RESNET}[kind].build(blocks[kind], (32, 32, 3), 3)
    return mirror_averaged(model)


@pytest.fixture(scope="module")
def exported(cnn_block, resnet_block, tmp_path_factory) -> dict:
    """The model, its probabilities and its ONNX file, by family."""
    folder, blocks, made = tmp_path_factory.mktemp("onnx"), {"cnn": cnn_block, "resnet": resnet_block}, {}
    for family in FAMILIES:
        model, path = built(family, blocks), folder / f"{family}.onnx"
        onnx_export.write(path, model, CARD, "0" * 64)
        made[family] = model, predict(model, IMAGES), path
    return made


TOLERANCES = {"cnn": 1e-5, "resnet": 1e-4, "cnn in bfloat16": 0.05}


@pytest.mark.parametrize(("family", "tolerance"), TOLERANCES.items(), ids=TOLERANCES)
def test_the_probabilities_are_those_of_keras(exported, family, tolerance):
    _, expected, path = exported[family]
    np.testing.assert_allclose(onnx_file.read(path).predict(IMAGES), expected, rtol=0, atol=tolerance)


def test_a_model_in_mixed_precision_is_exported_in_float32(exported):
    plain = onnx_export.in_float32(exported["cnn in bfloat16"][0])
    np.testing.assert_allclose(
        onnx_file.read(exported["cnn in bfloat16"][2]).predict(IMAGES), predict(plain, IMAGES), rtol=0, atol=1e-5
    )


def test_a_single_image_has_the_probabilities_that_it_has_among_others(exported):
    model = onnx_file.read(exported["cnn"][2])
    np.testing.assert_allclose(model.predict(IMAGES[7:8]), model.predict(IMAGES)[7:8], atol=1e-6)


def test_the_file_holds_class_names_temperature_fit_size_and_source(exported):
    model = onnx_file.read(exported["cnn"][2])
    assert (model.card, model.size, model.source) == (CARD, (32, 32), "0" * 64)


REMEDIES = {"beside its model": "; `python -m study export .*/own.keras` makes it again", "alone": ""}


@pytest.mark.parametrize(("place", "remedy"), REMEDIES.items(), ids=REMEDIES)
def test_a_file_that_is_no_model_is_refused_and_made_again_only_of_its_model(tmp_path, place, remedy):
    (tmp_path / "own.onnx").write_bytes(b"hello")
    if place != "alone":
        (tmp_path / "own.keras").touch()
    with pytest.raises(UserError, match=rf"own\.onnx: cannot be loaded \(.*\){remedy}$"):
        onnx_file.read(tmp_path / "own.onnx")


def with_metadata(path, folder, **changes: str):
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in model.metadata_props} | changes)
    onnx.save(model, folder / "own.onnx")
    return folder / "own.onnx"


UNFIT = {
    "fewer names": ({"class_names": '["a", "b"]'}, "it names 2 classes and gives 3 probabilities"),
    "a name that a spreadsheet runs": ({"class_names": '["=a", "b", "c"]'}, "its class names must be"),
    "a temperature of 0": ({"temperature": "0.0"}, "its temperature must be a number above 0"),
    "a temperature that is no number": ({"temperature": "NaN"}, "its temperature must be a number above 0"),
    "another fit": ({"fit": '"crop"'}, "its fit must be stretch or pad"),
    "no JSON": ({"fit": "pad"}, "Expecting value"),
}


@pytest.mark.parametrize(("changes", "fault"), UNFIT.values(), ids=UNFIT)
def test_metadata_that_do_not_fit_are_refused(exported, tmp_path, changes, fault):
    with pytest.raises(UserError, match=rf"cannot be loaded \({fault}"):
        onnx_file.read(with_metadata(exported["cnn"][2], tmp_path, **changes))


def test_a_model_of_other_programs_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    opset = [onnx.helper.make_opsetid("", 15)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "own.onnx")
    with pytest.raises(UserError, match=r"it has \['x', 'tensor\(float\)'"):
        onnx_file.read(tmp_path / "own.onnx")


MISSING = r"the packages of the extra onnx, and {} is missing; run `make extras`"


@pytest.mark.parametrize("package", ["onnx", "tf2onnx"])
def test_an_export_without_a_package_of_the_extra_is_refused_in_one_line(exported, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=MISSING.format(package)):
        onnx_export.write(tmp_path / "a.onnx", exported["cnn"][0], CARD, "")


def test_an_onnx_file_without_onnx_runtime_is_refused_in_one_line(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=MISSING.format("onnxruntime")):
        onnx_file.read(exported["cnn"][2])


@pytest.fixture
def own(exported, tmp_path, monkeypatch):
    """A folder with what `export` reads of the model `own`."""
    monkeypatch.chdir(tmp_path)
    keras_file.write("models/own.keras", exported["cnn"][0], CARD)
    labels = np.arange(len(IMAGES), dtype=np.uint8) % 3
    split = {"x_train": IMAGES, "y_train": labels, "x_validation": IMAGES, "y_validation": labels}
    files.write_npz(arrays.PREPARED, **split, class_names=np.array(CARD.class_names))
    return tmp_path


@pytest.mark.parametrize("name", ["own", "models/own", "own.keras"])
def test_an_export_says_how_far_it_is_from_the_model(own, capsys, name):
    export.main([name])
    printed = capsys.readouterr().out
    assert printed.startswith("models/own.onnx: 40 validation images, largest difference of a probability ")
    assert printed.endswith(", another class for 0\n")
    assert onnx_file.read("models/own.onnx").source == files.sha256("models/own.keras")


def test_an_export_whose_probabilities_differ_is_refused_and_leaves_no_file(own, monkeypatch):
    monkeypatch.setattr(KerasModel, "predict", lambda model, images: np.eye(3, dtype=np.float32)[np.zeros(40, int)])
    with pytest.raises(UserError, match=r"models/own\.onnx: gives other probabilities than models/own\.keras: they "):
        export.export(Path("models/own.keras"), IMAGES)
    assert [path.name for path in (own / "models").iterdir()] == ["own.keras"]


def test_an_export_counts_the_images_that_change_their_class(own, monkeypatch):
    monkeypatch.setitem(export.TOLERANCES, "float32", 1.0)
    monkeypatch.setattr(KerasModel, "predict", lambda model, images: np.eye(3, dtype=np.float32)[np.zeros(40, int)])
    changed = export.export(Path("models/own.keras"), IMAGES)[1]
    assert changed == (onnx_file.read("models/own.onnx").predict(IMAGES).argmax(axis=1) != 0).sum()


def test_an_export_that_cannot_be_checked_on_these_images_is_refused(own):
    with pytest.raises(UserError, match=r"takes images of \(32, 32\), and data/prepared\.npz, .* \(8, 8\); "):
        export.export(Path("models/own.keras"), IMAGES[:, :8, :8])


# Packages whose imports take long, and which a prediction by ONNX Runtime does not need.
HEAVY = {
    "keras",
    "tensorflow",
    "sklearn",
    "scipy",
    "pydantic",
    "matplotlib",
    "h5py",
    "imagehash",
    "pandas",
    "dvc",
    "onnx",
}


def processor_seconds(*command: str) -> tuple[float, subprocess.CompletedProcess]:
    """Of a new process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = project.shell(project.ROOT, sys.executable, *command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.mark.slow
def test_a_new_process_answers_in_half_the_time_of_importing_keras_and_loads_no_heavy_package(exported, tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "own.png")
    command = ["predict", "--top", "1", "--model", str(exported["cnn"][2]), str(tmp_path / "own.png")]
    seconds, answer = processor_seconds("-X", "importtime", "-m", "study", *command)
    assert answer.stdout.startswith(f"{tmp_path / 'own.png'}: ")
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert "onnxruntime" in loaded
    assert loaded & HEAVY == set()
    assert seconds <= processor_seconds("-c", "import keras")[0] / 2


def test_a_keras_file_gives_its_card_back_and_is_loaded_by_keras(exported, tmp_path, checkpoints):
    model, probabilities, _ = exported["cnn"]
    keras_file.write(tmp_path / "own.keras", model, CARD)
    assert card.read(tmp_path / "own.keras") == ((32, 32), CARD)
    plain = keras.models.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(predict(plain, IMAGES), probabilities)


CARDS = {
    "none": (None, r"own\.keras: it lacks class_names, temperature, fit; training writes them into a model file$"),
    "of another number of classes": (Card(["a"], 1.0, "pad"), "it names 1 classes and gives 3 probabilities$"),
}


@pytest.mark.parametrize(("own_card", "reason"), CARDS.values(), ids=CARDS)
def test_a_keras_file_whose_card_does_not_fit_is_refused_where_one_is_needed(exported, tmp_path, own_card, reason):
    keras_file.write(tmp_path / "own.keras", exported["cnn"][0], own_card)
    with pytest.raises(UserError, match=reason):
        KerasModel.read(tmp_path / "own.keras").predict(IMAGES)


def test_a_card_is_what_it_was():
    assert card.checked(CARD.to_dict()) == CARD
