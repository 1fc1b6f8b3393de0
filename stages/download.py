"""download: get the images of `data.source` and check them. Reads data.*; writes data/raw.npz."""

from pathlib import Path

import numpy as np

from stages.lib import dataset, errors, files, params, synthetic
from stages.lib.errors import UserError

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def main() -> None:
    seed, data = params.load("seed", "data")
    match data.source:
        case "synthetic":
            arrays = synthetic.draw(**data.synthetic.model_dump(), seed=seed)
        case "cifar10":
            arrays = cifar10()
        case "npz":
            arrays = npz(data.path, data.sha256)
    checked = dataset.check(arrays, data.path if data.source == "npz" else data.source)
    files.write_npz(dataset.RAW, **checked)
    print(f"{data.source}: {len(checked['x_train'])} training and {len(checked['x_test'])} test images")


def cifar10() -> dict[str, np.ndarray]:
    """CIFAR-10 through Keras, which downloads the archive once, checks its hash and caches it."""
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras wraps what the network raises into a plain Exception
        raise UserError(
            f"data.source cifar10 cannot be downloaded ({errors.reason(error)}); "
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
        import keras

        try:
            file = Path(keras.utils.get_file(f"{sha256}.npz", origin=path, file_hash=sha256, cache_subdir="datasets"))
        except Exception as error:  # as above
            raise UserError(
                f"data.path {path} cannot be downloaded ({errors.reason(error)}); "
                "mend the network, the address or data.sha256, or give a local file"
            ) from None
    elif not file.is_file():
        raise UserError(f"data.path {path} is no file; allowed: an .npz file or an http(s) URL")
    found = files.sha256(file)
    if found != sha256:
        raise UserError(f"data.path {path} has SHA-256 {found}; data.sha256 allows {sha256} only")
    arrays = files.read_npz(file, remedy="give a whole .npz of plain arrays in data.path, with its data.sha256")
    for key in arrays:
        if not key.isidentifier():
            raise UserError(f"data.path {path} holds an entry {key!r}; allowed: arrays with plain names")
    for key in ("x_train", "y_train", "x_test", "y_test"):
        if key not in arrays:
            raise UserError(f"data.path {path} has no array {key}; found: {', '.join(arrays) or 'none'}")
    return arrays


if __name__ == "__main__":
    errors.run(main)
