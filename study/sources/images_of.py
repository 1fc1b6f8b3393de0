"""Where the images come from: drawn by code, CIFAR-10 by Keras, an archive, or a folder of image files."""

import hashlib
import os
from pathlib import Path

import numpy as np

from study.base import files, runtime
from study.base.runtime import UserError, first_line, lack_of_memory
from study.data import arrays
from study.params.schema import Data
from study.sources import synthetic

# What keras.datasets.cifar10 downloads, where it keeps it, and the hash that it checks.
CIFAR10 = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-10-batches-py-target_archive",
)
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def get(data: Data) -> dict[str, np.ndarray]:
    """The checked arrays of `data.source`: x_train, y_train, x_test, y_test, class_names (see `arrays.check`).

    Of a folder, `fit` too: how the images got their size. If the data have images for validation, x_val and y_val too.
    """
    match data.source:
        case "synthetic":
            return arrays.check(synthetic.draw(**data.synthetic.model_dump(), seed=data.seed), "synthetic")
        case "cifar10":
            return arrays.check(cifar10(), "cifar10")
        case "npz":
            return arrays.check(npz(data.path, data.sha256), data.path)
        case "folder":
            from study.sources import folder  # Pillow's readers, which other sources need not

            images = folder.read(Path(data.folder), data.image_size, data.fit)
            return arrays.check(images, data.folder) | {"fit": np.array(data.fit)}


def cifar10() -> dict[str, np.ndarray]:
    """CIFAR-10 through Keras, from the archive in its download cache, which is downloaded once."""
    from study.sources import download  # takes half a second, which other sources save

    try:
        download.fetch(*CIFAR10)
        (x_train, y_train), (x_test, y_test) = _keras_cifar10()
    except Exception as error:  # Keras and the reader of its archive raise many types
        if lack_of_memory(error):
            raise
        raise UserError(
            f"params.yaml: data.source cifar10 cannot be loaded ({first_line(error)}); mend the network, or set "
            "data.source to npz with a copy of the data, or to synthetic"
        ) from None
    return {
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
        "class_names": np.array(CIFAR10_CLASSES),
    }


def _keras_cifar10() -> tuple:
    """Both splits, by Keras, which is loaded only here: it takes seconds."""
    runtime.begin_imports()
    import keras

    runtime.end_imports()
    return keras.datasets.cifar10.load_data()


def npz(path: str, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of an archive, local or of an http(s) URL. What is read is what was hashed. Never unpickled."""
    with _file(path, sha256).open("rb") as archive:
        found = hashlib.file_digest(archive, "sha256").hexdigest()
        if found != sha256:
            raise UserError(f"params.yaml: data.path {path} has SHA-256 {found}; data.sha256 allows {sha256} only")
        return files.read_npz(
            archive,
            *("x_train", "y_train", "x_test", "y_test"),
            optional=["class_names", "x_val", "y_val"],
            remedy="give a whole .npz of plain arrays in data.path, with its data.sha256",
        )


def _file(path: str, sha256: str) -> Path:
    """The local file of `data.path`, downloaded if that is a URL."""
    if path.lower().startswith(("http://", "https://")):
        from study.sources import download  # as above

        try:
            return download.fetch(path, sha256, f"{sha256}.npz")
        except download.DownloadError as error:
            raise UserError(
                f"params.yaml: data.path {path} cannot be downloaded ({error}); mend the network, the address or "
                "data.sha256, or give a local file"
            ) from None
    local = os.path.expanduser(path)  # noqa: PTH111 (Path.expanduser raises for a user that is not there)
    if not Path(local).is_file():
        raise UserError(
            f"params.yaml: data.path {path} is no file{files.searched(local)}; allowed: an .npz file or an http(s) URL"
        )
    return Path(local)
