"""A folder of images is watched by DVC wherever it lies, and comes along where an experiment runs in another folder."""

from pathlib import Path

import numpy as np
import project
import pytest
from PIL import Image
from project import shell
from ruamel.yaml import YAML

pytestmark = [pytest.mark.slow, pytest.mark.long]
COUNTS = {"train": 20, "test": 5}


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder of two classes of noise."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for name in ("cat", "dog"):
            (tmp_path / f"own/{split}/{name}").mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"own/{split}/{name}/{number}.jpg")
    return tmp_path / "own"


@pytest.fixture
def repository(tmp_path) -> Path:
    return project.copy(tmp_path / "repository", project.small)


def use(repository: Path, folder: str | Path) -> None:
    params = project.params(repository)
    params["data"] |= {"source": "folder", "folder": str(folder)}
    with (repository / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(params, file)


def run(repository: Path, *command: str) -> list[str]:
    """The stages that ran."""
    printed = shell(repository, "dvc", *command).stdout
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def test_an_absolute_folder_is_watched(repository, own):
    use(repository, own)
    assert run(repository, "repro", "prepare") == ["download", "prepare"]
    assert run(repository, "repro", "prepare") == []
    (own / "train/cat/0.jpg").unlink()
    assert run(repository, "repro", "prepare") == ["download", "prepare"]
    assert len(np.load(repository / "data/raw.npz")["x_train"]) == 2 * COUNTS["train"] - 1


@pytest.mark.parametrize("links", ["copy", "symlink"])
def test_a_folder_that_dvc_tracks_is_there_for_an_experiment_in_another_folder(repository, own, links):
    shell(repository, "dvc", "config", "cache.type", links)
    own.rename(repository / "data/own")
    shell(repository, "dvc", "add", "--quiet", "data/own")
    use(repository, "data/own")
    project.commit(repository, "own images")
    assert run(repository, "exp", "run", "--temp", "-S", "data.fit=pad", "prepare") == ["download", "prepare"]


def test_images_for_validation_are_used_but_copies_of_training_images(repository, own):
    for name, copied in (("cat", "mirrored"), ("dog", "same")):
        (own / f"val/{name}").mkdir(parents=True)
        for number in range(6):
            image = Image.effect_noise((40, 30), 60 + number)
            image.save(own / f"val/{name}/{number}.png")
        image = Image.open(own / f"train/{name}/0.jpg")
        if copied == "mirrored":
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(own / f"val/{name}/{copied}.png")
    use(repository, own)
    assert run(repository, "repro", "prepare") == ["download", "prepare"]
    with np.load(repository / "data/prepared.npz") as prepared:
        assert np.bincount(prepared["y_train"]).tolist() == [COUNTS["train"]] * 2
        assert np.bincount(prepared["y_validation"]).tolist() == [6, 6]
