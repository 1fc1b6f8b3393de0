"""A folder of image files becomes arrays: the same ones on every machine, or one line that says what is wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.base import files, inputs, runtime
from study.base.runtime import UserError
from study.data import arrays
from study.params.resizing import RESIZINGS
from study.sources import folder, images_of

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250), "dark": (13, 0, 0)}
JPEG = (".jfif", ".jpe", "")


def write(path: Path, colour: str = "red", size: tuple[int, int] = (5, 4), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).convert(mode).save(path)
    return path


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """The folder `own` of the working folder: three red images of class a and three green ones of b, two for test."""
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 3), ("test", 2)):
        for number in range(count):
            write(Path(f"own/{split}/a/{number}.png"), "red")
            write(Path(f"own/{split}/b/{number}.png"), "green")
    return Path("own")


def read(own: Path, side: int = 8, fit: str = "stretch") -> dict[str, np.ndarray]:
    return arrays.check(folder.read(own, side, fit), str(own))


def test_labels_come_from_the_names_of_folders_in_their_order(own):
    found = read(own)
    assert found["class_names"].tolist() == ["a", "b"]
    assert found["y_train"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["x_train"][:, 4, 4].tolist() == [[250, 0, 0]] * 3 + [[0, 250, 0]] * 3


def test_images_of_any_size_get_one_size(own):
    write(own / "train/a/3.png", size=(90, 31))
    assert read(own)["x_train"].shape == (7, 8, 8, 3)


@pytest.mark.parametrize(("fit", "corner"), [("stretch", [250, 0, 0]), ("pad", [0, 0, 0])])
def test_an_image_that_is_no_square_is_stretched_or_padded(own, fit, corner):
    write(own / "train/a/0.png", size=(90, 30))
    assert read(own, fit=fit)["x_train"][0, 0, 0].tolist() == corner


@pytest.mark.parametrize("fit", RESIZINGS)
def test_the_fit_goes_with_the_images_to_those_who_train(own, params, fit):
    changes = {"source": "folder", "folder": str(own), "image_size": 22, "fit": fit}
    files.write_npz(arrays.RAW, **images_of.get(params.data.model_copy(update=changes)))
    assert arrays.read_raw()[3] == fit


def test_images_stand_in_the_order_of_code_points_whatever_the_disk_gives(own, monkeypatch):
    for name in ("10", "2", "Z", "é", "_"):
        write(own / f"train/a/{name}.png", "blue", size=(ord(name[0]), 4))
    before, walk = read(own)["x_train"], os.walk

    def reversed_walk(top, **options):
        for root, folders, names in walk(top, **options):
            folders.sort(reverse=True)
            yield root, folders, sorted(names, reverse=True)

    monkeypatch.setattr(os, "walk", reversed_walk)
    assert np.array_equal(read(own)["x_train"], before)
    names = [path.stem for path in folder._listed(own / "train") if path.parent.name == "a"]
    assert names == ["0", "1", "10", "2", "Z", "_", "é"]


def add(own: Path, name: str) -> None:
    """Give each split a class like a."""
    for split in ("train", "test"):
        shutil.copytree(own / split / "a", own / split / name)


def only(own: Path, name: str) -> None:
    """Rename the class b of both splits."""
    for split in ("train", "test"):
        (own / split / "b").rename(own / split / name)


def composed_and_not(own: Path) -> None:
    """One class, whose accent stands in two ways in the two splits, as another disk may write it."""
    (own / "train/b").rename(own / "train/bä")
    (own / "test/b").rename(own / "test/ba\u0308")


TAKEN: dict[str, tuple[Callable[[Path], object], int]] = {
    "an ending in capitals": (lambda own: write(own / "train/a/x.PNG"), 7),
    "JPEG": (lambda own: write(own / "train/a/x.jpeg"), 7),
    "WebP": (lambda own: write(own / "train/a/x.webp"), 7),
    "grey": (lambda own: write(own / "train/a/x.png", mode="L"), 7),
    "a palette": (lambda own: write(own / "train/a/x.png", mode="P"), 7),
    "alpha": (lambda own: write(own / "train/a/x.png", mode="RGBA"), 7),
    "16 bits": (lambda own: Image.new("I;16", (5, 4), 60_000).save(own / "train/a/x.png"), 7),
    "other endings of JPEG": (lambda own: [write(own / "x.jpeg").rename(own / f"train/a/x{end}") for end in JPEG], 9),
    "another image's ending": (lambda own: write(own / "x.png").rename(own / "train/a/x.gif"), 7),
    "CMYK": (lambda own: write(own / "train/a/x.jpg", mode="CMYK"), 7),
    "a nested folder": (lambda own: write(own / "train/a/deep/er/0.png"), 7),
    "a link to a file": (lambda own: (own / "train/a/x.png").symlink_to((own / "train/a/0.png").absolute()), 7),
    "names that differ in case": (lambda own: [write(own / f"train/a/{name}.png") for name in "xX"], 8),
    "a hidden file": (lambda own: (own / "train/a/.DS_Store").write_text("no image"), 6),
    "a hidden folder": (lambda own: write(own / "train/.thumbs/0.png"), 6),
    "what Windows leaves": (lambda own: (own / "train/a/Thumbs.db").write_text("no image"), 6),
    "a backup": (lambda own: (own / "train/a/0.png~").write_text("no image"), 6),
    ".gitkeep": (lambda own: (own / "train/.gitkeep").touch(), 6),
    "an empty folder": (lambda own: (own / "train/c").mkdir(), 6),
    "a file beside the splits": (lambda own: (own / "README.md").write_text("about"), 6),
    "an accent written in two ways": (composed_and_not, 6),
    "what Python leaves": (lambda own: write(own / "train/__pycache__/0.png"), 6),
    "a folder that is a link": (lambda own: own.rename("other") and own.symlink_to("other"), 6),
}


@pytest.mark.parametrize(("change", "count"), TAKEN.values(), ids=TAKEN)
def test_images_are_taken_and_what_is_none_of_the_data_is_not(own, change, count):
    change(own)
    found = read(own)
    assert len(found["x_train"]) == count
    assert len(found["class_names"]) == 2


def test_names_that_no_disk_confuses_are_different_classes(own):
    for name in ("strasse", "straße", "kir", "kır"):
        add(own, name)
    assert read(own)["class_names"].tolist() == ["a", "b", "kir", "kır", "strasse", "straße"]


def animate(path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in COLOURS.values()]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def double(folder: Path) -> None:
    """Put what the folder holds into a folder of the same name in it."""
    folder.rename("other")
    folder.mkdir()
    Path("other").rename(folder / folder.name)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no image": (
        lambda own: (own / "train/a/x.png").write_text("text"),
        "1 of 11 files cannot be read as images: .*x.png",
    ),
    "half an image": (
        lambda own: (own / "train/a/x.jpg").write_bytes(write(own / "train/a/0.jpg").read_bytes()[:300]),
        "1 of 12 files .*x.jpg cannot be decoded",
    ),
    "an empty file": (lambda own: (own / "train/a/x.png").touch(), "x.png is empty"),
    "an image of another kind": (
        lambda own: write(own / "train/a/x.gif"),
        "x.gif is no PNG, JPEG or WebP image",
    ),
    "values of 8 bits in 16": (lambda own: write(own / "train/a/x.png", mode="I;16"), "x.png has 16 bits per value"),
    "values of 4 bits in 8": (
        lambda own: [write(path, "dark") for path in own.rglob("train/*/*.png")],
        "own: x_train is of values 0 to 13; allowed: pixel values that use the range 0 to 255",
    ),
    "a name that is not UTF-8": (
        lambda own: write(own / "train/a/x.png").rename(os.fsdecode(b"own/test/b/.caf\xe9")),
        r"own/test/b/.caf\\xe9: has a name that is not UTF-8, which DVC cannot record; rename it",
    ),
    "an animation": (lambda own: animate(own / "train/a/x.webp"), r"x.webp is animated \(4 frames\)"),
    "a link to nothing": (lambda own: (own / "train/a/x.png").symlink_to("none"), "x.png is a link to none that leads"),
    "a link to a folder": (
        lambda own: (own / "train/a/x").symlink_to("../b"),
        "a/x: is a link to a folder, whose files DVC",
    ),
    "a split that is a link": (
        lambda own: (own / "train").rename("other") and (own / "train").symlink_to("../other"),
        "own/train: is a link to a folder, whose files DVC",
    ),
    "an image in no class": (
        lambda own: write(own / "train/0.png"),
        "own/train/0.png: lies in no folder of a class; move",
    ),
    "a class of one split": (
        lambda own: write(own / "train/c/0.png"),
        "own/test: holds no image of 1 of 3 classes, c; each",
    ),
    "a class of the other split": (
        lambda own: write(own / "test/c/0.png"),
        "own/train: holds no image of 1 of 3 classes, c",
    ),
    "a name that is not allowed": (
        lambda own: only(own, "=b"),
        "own: class_names is of '=b'; allowed: 1 to 64 letters",
    ),
    "classes that differ in case": (lambda own: only(own, "A"), "own: the classes A and a differ in case only"),
    "a class in two cases": (
        lambda own: (own / "test/b").rename(own / "test/B"),
        "own: the classes B and b differ in case only",
    ),
    "classes that look the same": (
        lambda own: [only(own, "a b"), add(own, "a  b")],
        r"own: class_names is of 'a b' and 'a b', which look the same",
    ),
    "one class": (
        lambda own: [path.unlink() for path in own.rglob("b/*.png")],
        "own: the number of classes is 1; allowed: 2 to 2000",
    ),
    "a doubled folder": (
        double,
        "data.folder own holds no folder train and no test; .* set it to own/own, which has both",
    ),
    "a doubled split": (
        lambda own: double(own / "train"),
        "own/train/train: stands where a class is expected; move the folders in it to own/train",
    ),
    "two splits for validation": (
        lambda own: [(own / name).mkdir() for name in ("val", "valid")],
        "own: holds val and valid; allowed: one folder of images for validation",
    ),
    "no image of a class for validation": (
        lambda own: write(own / "val/a/0.png"),
        "own/val: holds no image of 1 of 2 classes, b; each split needs images of every class",
    ),
    "too few images": (
        lambda own: (own / "test/b/0.png").unlink(),
        "own: y_test is 1 images of class b; allowed: at least 2",
    ),
    "no images": (
        lambda own: [path.unlink() for path in own.rglob("*.png")],
        "own: holds no images; put them into train",
    ),
    "no test": (lambda own: (own / "test").rename("val"), "params.yaml: data.folder own holds no folder test; it must"),
    "no folder": (
        lambda own: own.rename("other"),
        "params.yaml: data.folder own is no folder in .* give an absolute path",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(own, change, message):
    change(own)
    with pytest.raises(UserError, match=message):
        read(own)


def test_all_broken_files_are_printed_and_the_error_names_the_first(own, capsys):
    for number in range(5):
        (own / f"test/b/x{number}.png").touch()
    with pytest.raises(
        UserError, match=r"own: 5 of 15 files .*x0\.png is empty; .*x2\.png is empty, and so on \(the lines"
    ):
        read(own)
    assert capsys.readouterr().out.splitlines() == [f"own/test/b/x{number}.png is empty" for number in range(5)]


def test_images_that_do_not_fit_into_memory_are_refused_before_any_is_read(own, monkeypatch):
    monkeypatch.setattr(runtime, "memory", lambda: 1000)
    with pytest.raises(UserError, match=r"data\.image_size is 8, with which the 10 images of own take 0\.0 GB; this"):
        read(own)


def test_what_dvc_ignores_in_every_folder_is_left_out():
    lines = (inputs.ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    patterns = {line.removeprefix("\\") for line in lines if line and not line.startswith(("#", "/", "!"))}
    assert {pattern for pattern in patterns if not pattern.startswith(".")} <= set(folder.LEFT_BEHIND)


def test_a_class_may_have_the_name_of_the_folder_of_checkpoints(own):
    only(own, "checkpoints")
    assert read(own)["class_names"].tolist() == ["a", "checkpoints"]
    assert "/checkpoints" in (inputs.ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()


def test_a_folder_below_files_that_dvc_is_told_to_ignore_is_refused(own):
    Path("deep").mkdir()
    own.rename("deep/own")
    Path("deep/.dvcignore").touch()
    with pytest.raises(UserError, match=r"^deep/\.dvcignore: may keep files of data\.folder deep/own from DVC"):
        read(Path("deep/own"))
    with pytest.raises(UserError, match=r"^deep/\.dvcignore: "):
        read(Path("deep/own").absolute())


@pytest.mark.parametrize("name", folder.VALIDATION)
def test_images_for_validation_stand_behind_those_for_training(own, name):
    for number in range(4):
        write(own / name / "ab"[number % 2] / f"{number}.png", "blue")
    found = read(own)
    files.write_npz(arrays.RAW, **found)
    train, _, _, _, is_validation = arrays.read_raw()
    assert is_validation.tolist() == [False] * 6 + [True] * 4
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert (train.images[is_validation] == COLOURS["blue"]).all()


@pytest.fixture
def stage():
    """A stage that has begun."""
    inputs.begin()


CHANGED = {
    "a changed image": lambda own: write(own / "train/a/0.png", "blue"),
    "another image": lambda own: write(own / "train/a/x.png"),
    "another class": lambda own: write(own / "train/c/0.png"),
    "a split for validation": lambda own: shutil.copytree(own / "train", own / "val"),
    "an image that is gone": lambda own: (own / "train/a/0.png").unlink(),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_what_changes_while_the_stage_runs_is_named(own, stage, change):
    read(own)
    change(own)
    assert inputs.changed().startswith("own")


def test_what_systems_leave_meanwhile_changes_nothing(own, stage):
    read(own)
    (own / "train/a/.DS_Store").touch()
    assert inputs.changed() is None
