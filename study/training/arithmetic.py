"""What decides how numbers are rounded, besides the inputs of a run: two runs of one key give the same bytes."""

import functools
import importlib.metadata
import os
import platform
import re
from pathlib import Path

PACKAGES = ("h5py", "keras", "numpy", "optuna", "scikit-learn", "scipy", "tensorflow")
# Variables of TensorFlow (its threads among them), oneDNN, OpenMP and the libraries of linear algebra.
VARIABLES = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "OMP_", "KMP_", "MKL_", "OPENBLAS_")
NOT_ARITHMETIC = (
    *("TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_NUM_INTEROP_THREADS"),
    *("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),  # scikit-learn sets them when it is imported
    *("TF_CLI_", "TF_TOKEN_", "TF_VAR_"),  # Terraform's
)


def arithmetic() -> dict[str, dict[str, str] | str]:
    """The processor's kind, the versions of Python and of what computes, and the environment that they read."""
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "packages": _versions(),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLES) and not name.startswith(NOT_ARITHMETIC)
        },
    }


@functools.cache
def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in PACKAGES}


@functools.cache
def _processor() -> str:
    """Its model and instruction sets, as Linux names them; the architecture alone elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8") if info.is_file() else ""
    fields = [re.search(rf"^{field}\s*: (.*)$", lines, re.MULTILINE) for field in ("vendor_id", "model", "flags")]
    return " ".join([platform.machine(), *(match.group(1) for match in fields if match)])
