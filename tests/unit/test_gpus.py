"""What a training does where TensorFlow sees a GPU, with a GPU that is played; and that it does nothing elsewhere."""

import importlib.metadata
import os
from types import SimpleNamespace

import pytest
import tensorflow as tf
from networks import Killed, as_run, train

from stages import evaluate
from study.base.runtime import UserError
from study.model_files import keras_file
from study.models.cnn.schema import Cnn
from study.models.common.architecture import Architecture
from study.scoring import gpus
from study.training.arithmetic import arithmetic
from study.training.run import checkpoint_of

pytestmark = pytest.mark.usefixtures("checkpoints")
KIND = {"device_name": "NVIDIA H100 80GB HBM3", "compute_capability": (9, 0)}
PACKAGES = {"numpy": "2.3.0", "nvidia-cudnn-cu12": "9.10.2.21", "nvidia-cublas-cu12": "12.9.1.4"}


@pytest.fixture(autouse=True)
def settings(monkeypatch) -> list[str]:
    """The settings that TensorFlow is given, in place of TensorFlow's own; nothing is kept of a GPU that was played."""
    settings = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: settings.append("deterministic"))
    gpus.set_up.cache_clear()
    yield settings
    gpus.set_up.cache_clear()
    gpus._libraries.cache_clear()


@pytest.fixture
def gpu(monkeypatch, tmp_path) -> SimpleNamespace:
    """A GPU that TensorFlow sees, with its kind and its driver, free to change, and NVIDIA's packages installed."""
    gpu = SimpleNamespace(kind=dict(KIND), driver=tmp_path / "version")
    gpu.driver.write_text("NVRM version: 580.159.04\nGCC version: 12\n", encoding="utf-8")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: device.kind)
    monkeypatch.setattr(gpus, "DRIVER", gpu.driver)
    install(monkeypatch, PACKAGES)
    return gpu


def install(patch: pytest.MonkeyPatch, packages: dict[str, str]) -> None:
    distributions = [SimpleNamespace(name=name, version=version) for name, version in packages.items()]
    patch.setattr(importlib.metadata, "distributions", lambda: distributions)
    gpus._libraries.cache_clear()  # they do not change while a process runs


def test_a_gpu_is_set_up_once_per_process(gpu, settings):
    gpus.set_up()
    gpus.set_up()
    assert settings == ["deterministic"]


def test_nothing_is_set_up_where_tensorflow_sees_no_gpu(settings):
    gpus.set_up()
    assert settings == []


def test_a_process_takes_the_memory_of_a_gpu_as_it_needs_it():
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_the_way_to_take_memory_is_no_arithmetic():
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in arithmetic()["environment"]


def test_a_gpu_is_set_up_before_a_network_is_built(gpu, settings, cnn_block, prepared):
    def build(*arguments):
        assert settings == ["deterministic"]
        raise Killed

    with pytest.raises(Killed):
        train(Architecture(Cnn, build), as_run(cnn_block), prepared)


def test_a_gpu_is_set_up_before_a_model_is_evaluated(gpu, settings, monkeypatch):
    def read(path):
        assert settings == ["deterministic"]
        raise Killed

    monkeypatch.setattr(keras_file, "read", read)
    monkeypatch.setattr(evaluate, "load", lambda section: SimpleNamespace(threads=1))
    with pytest.raises(Killed):
        evaluate.main("cnn2")


def test_what_decides_the_arithmetic_of_a_gpu_is_its_kind_its_driver_and_its_libraries(gpu, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpus.arithmetic() == {
        "gpu": {
            "device_name": "NVIDIA H100 80GB HBM3",
            "compute_capability": "(9, 0)",
            "driver": "NVRM version: 580.159.04",
        },
        "gpu_libraries": {"nvidia-cublas-cu12": "12.9.1.4", "nvidia-cudnn-cu12": "9.10.2.21"},
        "gpu_environment": {"NVIDIA_TF32_OVERRIDE": "0"},
    }


CHANGES = {
    "no GPU": lambda gpu, patch: patch.setattr(tf.config, "list_physical_devices", lambda kind=None: []),
    "another kind": lambda gpu, patch: gpu.kind.update(device_name="NVIDIA H200"),
    "another driver": lambda gpu, patch: gpu.driver.write_text("NVRM version: 1"),
    "another library": lambda gpu, patch: install(patch, PACKAGES | {"nvidia-cudnn-cu12": "9.3.0.75"}),
    "another variable": lambda gpu, patch: patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_of_a_gpu_is_not_taken_where_it_rounds_otherwise(gpu, cnn_block, monkeypatch, change):
    key = checkpoint_of(as_run(cnn_block, name="one")).key
    change(gpu, monkeypatch)
    assert checkpoint_of(as_run(cnn_block, name="another")).key != key


GRAPH_ERROR = (
    "Graph execution error:\n\nDetected at node gradient_tape/resize defined at (most recent call last):\n"
    "<stack traces unavailable>\n{}\n\t [[{{{{node gradient_tape/resize}}}}]] [Op:__inference_one_step_on_data_77]"
)
LACKS = {
    "resizing": "A deterministic GPU implementation of ResizeNearestNeighborGrad is not currently available",
    "reduction": "Deterministic GPU implementation of unsorted segment reduction op not available",
}


def raising(error: Exception) -> Architecture:
    def build(*arguments):
        raise error

    return Architecture(Cnn, build)


@pytest.mark.parametrize("lack", LACKS.values(), ids=LACKS)
def test_an_operation_that_no_gpu_computes_the_same_each_time_is_one_line(cnn_block, prepared, lack):
    error = tf.errors.UnimplementedError(None, None, GRAPH_ERROR.format(f"{lack}."))
    with pytest.raises(UserError) as line:
        train(raising(error), as_run(cnn_block), prepared)
    assert str(line.value) == (
        f"params.yaml: models.test: TensorFlow says: {lack}; use other layers in its network, or train it on the "
        "processor, with CUDA_VISIBLE_DEVICES=-1 in the environment"
    )


def test_another_operation_that_is_not_there_shows_its_traceback(cnn_block, prepared):
    error = tf.errors.UnimplementedError(None, None, "The Conv2D op currently only supports the NHWC tensor format")
    with pytest.raises(tf.errors.UnimplementedError):
        train(raising(error), as_run(cnn_block), prepared)
