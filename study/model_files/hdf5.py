"""Weights in HDF5 files, checked before anything takes memory for them."""

from pathlib import Path

import h5py

from study.base import files


def weights(path: str | Path) -> int:
    """How many numbers an HDF5 file holds. Raises ValueError if it holds no plain numbers, claims more of them than
    its size allows, or points elsewhere."""
    with Path(path).open("rb") as file:
        if left := files.left_by_git(file.read(len(files.POINTER))):
            raise ValueError(left)
    datasets: list[h5py.Dataset] = []
    with h5py.File(path, "r") as file:
        if elsewhere := file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name):
            raise ValueError(f"{elsewhere} points elsewhere")
        file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
        for dataset in datasets:
            if dataset.external or dataset.is_virtual or dataset.dtype.kind not in "biufV" or dataset.dtype.hasobject:
                raise ValueError(f"{dataset.name} holds no plain numbers")
        claimed, held = sum(dataset.nbytes for dataset in datasets), Path(path).stat().st_size
        if claimed > held:
            raise ValueError(f"its weights claim {claimed} bytes, the file has {held}")
        return sum(dataset.size for dataset in datasets)
