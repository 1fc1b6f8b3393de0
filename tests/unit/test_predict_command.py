"""The command `predict` answers for each image that can be read, in order, and names each other one in a line."""

import contextlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import project
import pytest
from PIL import Image

from study.base import files
from study.base.runtime import UserError
from study.model_files.card import Card
from study.serving import models, onnx_file, predict
from study.serving.keras_model import KerasModel

INPUT = {"batch_shape": [None, 8, 8, 3], "dtype": "uint8"}
PROBABILITIES = np.array([25, 4, 1]) / 30  # at temperature 2, their roots: 5, 2 and 1 eighths


class Brightness:
    """Stands for a model of images of 8 pixels: dark, grey or light."""

    size = (8, 8)
    card = Card(["dark", "grey", "light"], 2.0, "stretch")

    def predict(self, images: np.ndarray) -> np.ndarray:
        order = np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
        return np.stack([PROBABILITIES[order[int(image.mean() // 86)]] for image in images]).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder with some images, and with `Brightness` as each model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "load", lambda name: Brightness())
    for name, value in {"a.png": 0, "b.jpg": 128, "in/c.WEBP": 255, "in/.hidden.png": 0, "in/.git/d.png": 0}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 10), value).save(name)
    Path("notes.txt").write_text("no image")
    Path("empty").mkdir()
    Image.new("I;16", (8, 8), 4095).save("faint.png")
    for name in ("a.jfif", "b.jpe", "c"):
        Path("all").mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(f"all/{name}", "JPEG")
    Path("loop").symlink_to("loop")
    Path("moved.png").symlink_to("/old/files/md5/ab/cd")
    Path("lfs.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    Image.effect_noise((64, 64), 50).save("cut.png")
    Path("cut.png").write_bytes(Path("cut.png").read_bytes()[:-500])
    return tmp_path


def run(*arguments: str, top: int = 3, form: str = "text") -> int | str | None:
    try:
        predict.main(list(arguments), "best", top, form)
    except SystemExit as end:
        return end.code
    return 0


def test_each_image_has_its_classes_from_likely_to_unlikely(folder, capsys):
    assert run("a.png", "b.jpg", top=1) == 0
    assert capsys.readouterr() == ("a.png: dark 0.6250\nb.jpg: grey 0.6250\n", "")


def test_probabilities_are_those_at_the_temperature_of_the_model(folder, capsys):
    assert run("a.png") == 0
    assert capsys.readouterr().out == "a.png: dark 0.6250, grey 0.2500, light 0.1250\n"


SOURCES = {
    "a folder, its folders and no hidden file": (["in"], ["in/c.WEBP"]),
    "a pattern": (["*.jpg"], ["b.jpg"]),
    "a pattern through folders": (["**/*.WEBP"], ["in/c.WEBP"]),
    "a pattern that matches a folder": (["i*"], ["in/c.WEBP"]),
    "the same twice": (["a.png", "a.png"], ["a.png", "a.png"]),
    "every file, whatever its ending": (["all"], ["all/a.jfif", "all/b.jpe", "all/c"]),
    "what is in the home folder": (["~/a.png"], ["{home}/a.png"]),
    "a folder of the home folder": (["~/in"], ["{home}/in/c.WEBP"]),
    "in the order of the arguments": (["b.jpg", "a.png"], ["b.jpg", "a.png"]),
}


@pytest.mark.parametrize(("arguments", "names"), SOURCES.values(), ids=SOURCES)
def test_the_images_are_those_of(folder, capsys, monkeypatch, arguments, names):
    monkeypatch.setenv("HOME", str(folder))
    assert run(*arguments, top=1) == 0
    expected = [name.format(home=folder) for name in names]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == expected


def test_a_file_of_a_folder_that_is_no_image_is_named_as_one_of_a_list_is(folder, capsys):
    for kind in ("bmp", "gif", "tif", "HEIC", "txt"):
        Image.new("L", (8, 8), 200).save(f"in/x.{kind}", "GIF")
    names = [f"in/x.{kind}" for kind in ("HEIC", "bmp", "gif", "tif", "txt")]
    assert run("in", top=1) == 1
    printed = capsys.readouterr()
    assert printed.out == "in/c.WEBP: light 0.6250\n"
    assert printed.err == "".join(f"error: {name}: is no PNG, JPEG or WebP image, or a broken one\n" for name in names)
    assert run("in/c.WEBP", *names, top=1) == 1
    assert capsys.readouterr() == printed


def test_a_link_to_a_folder_in_a_folder_is_named(folder, capsys):
    Path("in/link").symlink_to("../many")
    Path("many").mkdir()
    assert run("in", top=1) == 1
    assert capsys.readouterr().err.startswith("error: in/link: is a link to a folder, which is not followed; give the")


def test_a_file_may_have_the_name_of_a_pattern(folder, capsys):
    Path("[a].png").write_bytes(Path("a.png").read_bytes())
    assert run("[a].png", top=1) == 0
    assert capsys.readouterr().out == "[a].png: dark 0.6250\n"


@contextlib.contextmanager
def standard_input(path: str) -> Iterator[None]:
    descriptor, kept = os.open(path, os.O_RDONLY), os.dup(0)
    try:
        os.dup2(descriptor, 0)
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(descriptor)


def test_an_image_may_come_from_standard_input(folder, capfd):
    with standard_input("a.png"):
        assert run("-", top=1) == 0
    assert capfd.readouterr().out == "-: dark 0.6250\n"


REFUSED = {
    "a broken image": ("cut.png", "cut.png: cannot be decoded ("),
    "12 bits in 16": ("faint.png", "faint.png: has 16 bits per value, but no value reaches 4096 of 65536, so it would"),
    "an address": ("https://host/a.png?b=[1]", "https://host/a.png?…: is an address; download the file and give its"),
    "a file that the home folder lacks": ("~/nope.png", "{home}/nope.png: is missing"),
    "a missing file": ("nope.png", "nope.png: is missing"),
    "another file": ("notes.txt", "notes.txt: is no PNG, JPEG or WebP image"),
    "a folder without images": ("empty", "empty: holds no file"),
    "a pattern without a match": ("x*.png", "x*.png: matches no file"),
    "an empty name": ("", "'': is no name of a file"),
    "a name that is too long": (300 * "a", f"{300 * 'a'}: cannot be read (File name too long)"),
    "a path that is too long": (3000 * "a/", "a/a/"),
    "a pattern that is too long": (300 * "a" + "*", f"{300 * 'a'}*: matches no file"),
    "a pattern of too many folders": (3000 * "*/", 3000 * "*/" + ": maximum recursion depth exceeded"),
    "a name with a zero byte": ("a\0.png", "a\\x00.png: is missing"),
    "a link to itself": ("loop", "loop: is a link to loop that leads to no file; run `dvc checkout loop` if "),
    "a link to a cache that was moved": (
        "moved.png",
        "moved.png: is a link to /old/files/md5/ab/cd that leads to no file; ",
    ),
    "a pointer of Git LFS": ("lfs.png", "lfs.png: is a pointer of Git LFS; `git lfs pull` gets the file; "),
    "a path through a file": ("a.png/b.png", "a.png/b.png: is missing"),
    "a name that a terminal would run": ("\x1b2J.png", "\\x1b2J.png: is missing"),
}


@pytest.mark.parametrize(("argument", "line"), REFUSED.values(), ids=REFUSED)
def test_what_gives_no_image_is_one_line_and_the_rest_go_on(folder, capsys, monkeypatch, argument, line):
    monkeypatch.setenv("HOME", str(folder))
    assert run("a.png", argument, "b.jpg", top=1) == 1
    printed = capsys.readouterr()
    assert printed.out == "a.png: dark 0.6250\nb.jpg: grey 0.6250\n"
    assert printed.err.startswith(f"error: {line.replace('{home}', str(folder))}")
    assert printed.err.count("\n") == 1


def test_a_path_that_one_may_not_search_is_one_line_and_the_rest_go_on(folder, capsys, monkeypatch):
    stat = os.stat

    def refuse(path, **options):
        if str(path).startswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert run("a.png", "locked/b.jpg", "b.jpg", top=1) == 1
    assert capsys.readouterr() == (
        "a.png: dark 0.6250\nb.jpg: grey 0.6250\n",
        "error: locked/b.jpg: cannot be read (Permission denied)\n",
    )


def test_standard_input_that_is_a_folder_is_one_line_and_the_rest_go_on(folder, capfd):
    with standard_input("in"):
        assert run("-", "a.png", top=1) == 1
    assert capfd.readouterr() == ("a.png: dark 0.6250\n", "error: -: Is a directory\n")


def test_a_folder_that_cannot_be_listed_is_named(folder, capsys, monkeypatch):
    def walk(place, onerror):
        onerror(PermissionError(13, "Permission denied", "in/locked"))
        yield "in", [], ["c.WEBP"]

    monkeypatch.setattr(os, "walk", walk)
    assert run("in", top=1) == 1
    assert capsys.readouterr() == ("in/c.WEBP: light 0.6250\n", "error: in/locked: Permission denied\n")


def test_json_is_a_list_of_images(folder, capsys):
    assert run("a.png", "cut.png", "b.jpg", top=2, form="json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in found] == ["a.png", "b.jpg"]
    assert found[0]["predictions"][1] == {"class": "grey", "probability": 0.25}


def test_json_without_an_image_is_an_empty_list(folder, capsys):
    assert run("nope.png", form="json") == 1
    assert json.loads(capsys.readouterr().out) == []


def test_json_is_not_begun_before_the_model_is_loaded(folder, capsys, monkeypatch):
    def fail(model, images):
        raise UserError("own.keras: cannot be loaded")

    monkeypatch.setattr(Brightness, "predict", fail)
    with pytest.raises(UserError):
        run("a.png", form="json")
    assert capsys.readouterr().out == ""


def test_csv_has_a_line_per_image_and_class(folder, capsys):
    assert run("a.png", top=2, form="csv") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["image,rank,class,probability", "a.png,1,dark,0.625000"]


def test_no_name_of_a_file_is_run_by_a_spreadsheet(folder, capsys):
    Path("a.png").rename("=a.png")
    assert run("=a.png", top=1, form="csv") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("./=a.png,1,dark,")


def test_more_images_than_one_batch_stay_in_order(folder, capsys):
    names = [f"many/{number:03d}.png" for number in range(2 * predict.BATCH + 3)]
    Path("many").mkdir()
    for number, name in enumerate(names):
        Image.new("L", (8, 8), 255 * (number % 2)).save(name)
    assert run("many", top=1) == 0
    expected = [f"{name}: {'light' if number % 2 else 'dark'} 0.6250" for number, name in enumerate(names)]
    assert capsys.readouterr().out.splitlines() == expected


def test_no_class_is_asked_for_in_vain(folder):
    with pytest.raises(UserError, match=r"--top is 0; allowed: 1 or more"):
        run("a.png", top=0)


@pytest.fixture
def here(tmp_path, monkeypatch) -> SimpleNamespace:
    """A folder with an exported and a trained model, each of which only says what it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files.write_text("models/best.keras", "weights")
    files.write_text("models/best.onnx", "graph")
    for path in ("models/cnn2.keras", "own.keras", "home/mine.keras", "models/notes.txt"):
        files.write_text(path, "other weights")
    files.write_text("dvc.lock", "stages:\n  best:\n    outs:\n    - path: models/lost.keras\n      md5: 0\n")
    source = files.sha256("models/best.keras")
    monkeypatch.setattr(onnx_file, "is_installed", lambda: True)  # also without the extra onnx
    monkeypatch.setattr(onnx_file, "read", lambda path: SimpleNamespace(path=str(path), source=source))
    monkeypatch.setattr(KerasModel, "read", lambda path: SimpleNamespace(path=str(path)))
    return SimpleNamespace(keras=Path("models/best.keras"), onnx=Path("models/best.onnx"))


NAMED = {
    "best": "models/best.onnx",
    "models/best": "models/best.onnx",
    "./models/best": "models/best.onnx",
    "best.onnx": "models/best.onnx",
    "best.keras": "models/best.keras",
    "models/best.keras": "models/best.keras",
    "models/cnn2": "models/cnn2.keras",
    "own": "own.keras",
    "own.keras": "own.keras",
    "~/mine": "{home}/mine.keras",
    "~/mine.keras": "{home}/mine.keras",
}


@pytest.mark.parametrize(("name", "path"), NAMED.items(), ids=NAMED)
def test_a_model_is_found_as_a_person_names_it(here, name, path):
    assert models.load(name).path == path.format(home=Path.home())


def test_a_file_of_the_very_name_comes_before_a_model_of_this_name(here):
    files.write_text("best.keras", "other weights")
    assert models.load("best.keras").path == "best.keras"
    assert models.load("best").path == "models/best.onnx"


NO_MODEL = {
    "another name": ("BEST", "BEST: is no model; models/ has best, cnn2"),
    "an output of a stage": (
        "lost",
        "models/lost.keras: is missing; `dvc repro` makes it, `dvc pull models/lost.keras` gets it from a remote",
    ),
    "a model that is not exported": (
        "cnn2.onnx",
        "models/cnn2.onnx: is missing; `python -m study export models/cnn2.keras` makes it",
    ),
    "a folder": ("models", "models: is a folder; models/ has best, cnn2"),
    "another kind of file": (
        "models/notes.txt",
        "models/notes.txt: is no .keras or .onnx file; models/ has best, cnn2",
    ),
    "no such home folder": ("~nobody-at-all/x", "~nobody-at-all/x: is no model; models/ has best, cnn2"),
    "nothing": ("", ".: is a folder; models/ has best, cnn2"),
}


@pytest.mark.parametrize(("name", "message"), NO_MODEL.values(), ids=NO_MODEL)
def test_what_is_no_model_says_so_and_names_those_there_are(here, name, message):
    with pytest.raises(UserError) as error:
        models.load(name)
    assert str(error.value) == message


def test_a_model_is_used_as_onnx_where_it_can_be(here, capsys):
    assert models.load("best").path == "models/best.onnx"
    assert capsys.readouterr().err == ""


def test_without_the_trained_model_the_exported_one_is_used(here):
    here.keras.unlink()
    assert models.load("best").path == "models/best.onnx"


def test_without_onnx_runtime_the_trained_model_is_used(here, monkeypatch):
    monkeypatch.setattr(onnx_file, "is_installed", lambda: False)
    assert models.load("best").path == "models/best.keras"


def test_an_exported_model_of_another_training_is_left_aside_with_a_note(here, capsys):
    here.keras.write_text("other weights")
    assert models.load("best").path == "models/best.keras"
    assert capsys.readouterr().err == (
        "note: models/best.onnx was made of another models/best.keras, which is used; `python -m study export best` "
        "renews it\n"
    )


@pytest.mark.parametrize("image", ["nope.png", "notes.txt"])
def test_what_is_no_image_is_refused_before_keras_is_imported(tmp_path, image):
    """In a process of its own, in which nothing has imported Keras."""
    model = tmp_path / "own.keras"
    network = {"config": {"layers": [{"class_name": "InputLayer", "config": INPUT}]}}
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", json.dumps(network))
        archive.writestr("metadata.json", json.dumps({"card": Card(["a", "b"], 1.0, "pad").to_dict()}))
    (tmp_path / "notes.txt").write_text("no image")
    command = ["-X", "importtime", "-m", "study", "predict", "--model", str(model), str(tmp_path / image)]
    answer = project.shell(project.ROOT, sys.executable, *command, check=False)
    assert f"error: {tmp_path / image}: is " in answer.stderr
    assert "keras" not in {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
