"""Training on a GPU: what makes two runs give the same bytes, and what decides how a GPU rounds.

TensorFlow is asked what it sees: a machine may have a GPU that it does not use, for want of NVIDIA's libraries, which
the lock of packages does not hold.
"""

import contextlib
import functools
import importlib.metadata
import os
import re
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from study.base.runtime import UserError

DRIVER = Path("/proc/driver/nvidia/version")
VARIABLES = ("CUBLAS_", "CUDNN_", "NVIDIA_TF32_OVERRIDE")  # of NVIDIA's libraries
# What TensorFlow says of an operation that it lacks in a deterministic form, without the place in the graph.
LACK = re.compile(
    r"^.*(?:[Dd]eterministic GPU implementation|that would have been executed is not deterministic)[^.\n]*", re.M
)


@functools.cache
def set_up() -> None:
    """Have TensorFlow compute the same bytes each time, if it sees a GPU; elsewhere change nothing.

    Call it before a model is compiled: Keras then does without XLA, which chooses kernels by how fast they ran.
    """
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def arithmetic() -> dict[str, dict[str, str]]:
    """What decides how a GPU rounds: its kind, the driver, NVIDIA's libraries. Empty if TensorFlow sees no GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return {}
    kind = tf.config.experimental.get_device_details(gpus[0])  # of the first, on which a training runs
    return {
        "gpu": {name: str(value) for name, value in kind.items()}
        | {"driver": DRIVER.read_text(encoding="utf-8").partition("\n")[0] if DRIVER.is_file() else ""},
        "gpu_libraries": _libraries(),
        "gpu_environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
    }


@functools.cache
def _libraries() -> dict[str, str]:
    """The versions of NVIDIA's packages."""
    versions = {each.name: each.version for each in importlib.metadata.distributions()}
    return {name: version for name, version in sorted(versions.items()) if name.startswith("nvidia")}


@contextlib.contextmanager
def deterministic(block_name: str) -> Iterator[None]:
    """Within this context, an operation that a GPU does not compute the same each time is a UserError of the block."""
    try:
        yield
    except tf.errors.UnimplementedError as error:
        if not (lack := LACK.search(str(error))):
            raise
        raise UserError(
            f"{block_name}: TensorFlow says: {lack[0]}; use other layers in its network, or train it on the processor, "
            "with CUDA_VISIBLE_DEVICES=-1 in the environment"
        ) from None
