"""download: get the images of `data.source` and check them. Reads the param `data`; writes data/raw.npz."""

from study.base import files, runtime
from study.data import arrays
from study.params.load import load
from study.sources import images_of


def main() -> None:
    params = load("data")
    images = images_of.get(params.data)
    files.write_npz(arrays.RAW, **images)
    counts = [f"{len(images[f'y_{split}'])} {split}" for split in ("train", "val", "test") if f"y_{split}" in images]
    print(f"{params.data.source}: {', '.join(counts)} images")


if __name__ == "__main__":
    runtime.run(main)
