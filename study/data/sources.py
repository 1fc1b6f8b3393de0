"""Where the images come from: drawn by code, CIFAR-10 by Keras, or an archive."""

from pathlib import Path
from types import ModuleType

import numpy as np

from study import files, runtime
from study.data import arrays, synthetic
from study.params.schema import Data
from study.runtime import UserError, first_line

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def get(data: Data) -> dict[str, np.ndarray]:
    """The checked arrays of `data.source`: x_train, y_train, x_test, y_test, class_names (see `arrays.check`)."""
    match data.source:
        case "synthetic":
            return arrays.check(synthetic.draw(**data.synthetic.model_dump(), seed=data.seed), "synthetic")
        case "cifar10":
            return arrays.check(cifar10(), "cifar10")
        case "npz":
            return arrays.check(npz(data.path, data.sha256), data.path)


def cifar10() -> dict[str, np.ndarray]:
    """CIFAR-10 through Keras, which downloads the archive once, checks its hash and caches it."""
    keras = _keras()
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras wraps what the network raises into a plain Exception
        raise UserError(
            f"data.source cifar10 cannot be downloaded ({first_line(error)}); "
            "mend the network, or set data.source to npz with a copy of the data, or to synthetic"
        ) from None
    return {
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
        "class_names": np.array(CIFAR10_CLASSES),
    }


def npz(path: str, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a local archive or, through Keras' download cache, of an http(s) URL. Never unpickled."""
    file = Path(path)
    if path.startswith(("http://", "https://")):
        keras = _keras()
        try:
            file = Path(keras.utils.get_file(f"{sha256}.npz", origin=path, file_hash=sha256, cache_subdir="datasets"))
        except Exception as error:  # as above
            raise UserError(
                f"data.path {path} cannot be downloaded ({first_line(error)}); "
                "mend the network, the address or data.sha256, or give a local file"
            ) from None
    elif not file.is_file():
        raise UserError(f"data.path {path} is no file; allowed: an .npz file or an http(s) URL")
    found = files.sha256(file)
    if found != sha256:
        raise UserError(f"data.path {path} has SHA-256 {found}; data.sha256 allows {sha256} only")
    entries = files.read_npz(file, remedy="give a whole .npz of plain arrays in data.path, with its data.sha256")
    for key in entries:
        if not key.isidentifier():
            raise UserError(f"data.path {path} holds an entry {key!r}; allowed: arrays with plain names")
    for key in ("x_train", "y_train", "x_test", "y_test"):
        if key not in entries:
            raise UserError(f"data.path {path} has no array {key}; found: {', '.join(entries) or 'none'}")
    return entries


def _keras() -> ModuleType:
    """Keras, loaded only where something is downloaded: it takes seconds."""
    runtime.begin_imports()
    import keras

    runtime.end_imports()
    return keras
