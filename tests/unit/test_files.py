"""Files appear whole or not at all, and what cannot be read is refused in one line, without running what is in it."""

import io
import json
import os
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format

from study.base import files
from study.base.runtime import UserError
from study.scoring.scores import Scores

SCORES = {"roc_auc": 0.9, "roc_auc_low": 0.8, "roc_auc_high": 0.95, "accuracy": 0.5, "log_loss": 1.0}


def test_a_write_that_fails_leaves_the_previous_file_alone(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "before")
    with pytest.raises(RuntimeError), files.whole(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert {path: path.read_text() for path in tmp_path.iterdir()} == {target: "before"}


def test_a_link_in_the_place_of_an_unfinished_file_is_refused_and_not_followed(tmp_path):
    (tmp_path / "notes").write_text("own")
    (tmp_path / "a.txt.partial").symlink_to("notes")
    with pytest.raises(UserError, match=r"a\.txt\.partial: is a link, .*; move it$"):
        files.write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt.partial").read_text() == "own"


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path):
    with pytest.raises(OSError, match="a.txt") as error, files.whole(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert error.value.filename == str(tmp_path / "a.txt")


@pytest.fixture
def synced(monkeypatch) -> list[tuple[str, bool]]:
    """The name of what is synced to the disk, and whether a.txt was there by then."""
    synced = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, Path("a.txt").exists())),
    )
    return synced


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_an_output_is_on_the_disk_before_it_appears_and_its_name_after(tmp_path, monkeypatch, synced):
    monkeypatch.chdir(tmp_path)
    files.write_text("a.txt", "text")
    assert synced == [("a.txt.partial", False), (tmp_path.name, True)]


def test_a_checkpoint_waits_for_no_disk(tmp_path, monkeypatch, synced):
    """One that a power failure damages is refused."""
    monkeypatch.chdir(tmp_path)
    files.write_npz("checkpoints/cnn2/model.npz", x=np.zeros(3))
    assert synced == []


def test_a_disk_that_fails_to_sync_keeps_the_previous_file(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.txt", "before")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="a.txt"):
        files.write_text(tmp_path / "a.txt", "after")
    assert {path: path.read_text() for path in tmp_path.iterdir()} == {tmp_path / "a.txt": "before"}


def test_equal_arrays_give_equal_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        files.write_npz(tmp_path / name, x=np.arange(5), y=np.array(["p", "q"]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_table_is_read_as_it_was_written(tmp_path):
    files.write_csv(tmp_path / "a.csv", ["model", "params"], [["cnn2", 'a, "b"\nc'], ["ä", ""]])
    assert files.read_csv(tmp_path / "a.csv") == [["model", "params"], ["cnn2", 'a, "b"\nc'], ["ä", ""]]


RECORDS = {
    "a flat record": {"roc_auc": 0.9, "name": "ä \n ]"},
    "a table": {"roc_auc": 0.9, "history": [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}]},
    "a deep record": {"winner": [{"model": "cnn2", "values": {"epochs": [1, 2]}}], "none": None},
    "empty values": {"list": [], "record": {}, "records": [{}]},
}


@pytest.mark.parametrize("content", RECORDS.values(), ids=RECORDS)
def test_a_record_is_read_as_it_was_written(tmp_path, content):
    files.write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text()) == content


def test_a_row_of_a_table_takes_one_line(tmp_path):
    files.write_json(tmp_path / "a.json", RECORDS["a table"])
    assert (tmp_path / "a.json").read_text().splitlines() == [
        "{",
        '  "roc_auc": 0.9,',
        '  "history": [',
        '    {"epoch": 1, "loss": 2.0},',
        '    {"epoch": 2, "loss": 1.5}',
        "  ]",
        "}",
    ]


def test_pickled_arrays_are_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(tmp_path / "bomb.npz", x_train=np.array([Bomb()], dtype=object))
    with pytest.raises(UserError, match="not a readable .npz of plain arrays"):
        files.read_npz(tmp_path / "bomb.npz")
    assert not (tmp_path / "ran").exists()


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(UserError, match="not a readable .npz"):
        files.read_npz(tmp_path / "a.npy")


def test_an_archive_without_a_needed_array_is_refused(tmp_path):
    files.write_npz(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="it must hold x, y"):
        files.read_npz(tmp_path / "a.npz", "x", "y")


def npy(array: np.ndarray | None = None, **changes) -> bytes:
    """The bytes of an .npy, with some fields of its header changed."""
    array = np.arange(3) if array is None else array
    file, header = io.BytesIO(), format.header_data_from_array_1_0(array) | changes
    format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def write_zip(path: Path, *entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings(action="ignore"):
        for name, content in entries:  # zipfile warns of a name given twice
            archive.writestr(name, content)
    return path


MORE = r"x\.npy: holds more than one array of numbers or text"
UNFIT = {
    "more than any memory": (npy(shape=(10**30,)), r"x\.npy: "),
    "more than a number can be printed": (npy(shape=(10**4000,)), r"x\.npy: "),
    "nothing of more than any memory": (npy(np.zeros(0), shape=(0, 10**30)), r"x\.npy: "),
    "more than there is": (npy(shape=(10**9,)), r"x\.npy: EOF: reading array data"),
    "less than there is": (npy(shape=(2,)), MORE),
    "a negative length": (npy(shape=(-3, -1)), r"x\.npy: "),
    "records": (npy(np.zeros(2, [("a", int)])), MORE),
    "arrays in an array": (npy(descr="(1000000,)u1"), r"x\.npy: "),
    "a type that is none": (npy(descr="q9"), r"x\.npy: "),
    "a header that is code": (npy().replace(b"(3,)", b"f(3)"), r"x\.npy: malformed"),
    "no array": (b"text and more", r"x\.npy: the magic string is not correct"),
    "nothing": (b"", r"x\.npy: "),
}


@pytest.mark.parametrize(("content", "message"), UNFIT.values(), ids=UNFIT)
def test_an_entry_that_is_not_what_its_header_says_is_refused_by_name(tmp_path, content, message):
    path = write_zip(tmp_path / "a.npz", ("x.npy", content))
    with pytest.raises(UserError, match=rf"a\.npz: is not a readable .npz of plain arrays \(.*{message}") as error:
        files.read_npz(path, "x")
    assert len(str(error.value)) < 800


def test_arrays_larger_than_memory_are_refused_before_any_is_read(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy()), ("y.npy", npy()))
    monkeypatch.setattr(files, "memory", lambda: 300)
    monkeypatch.setattr(format, "read_array", lambda *_, **__: pytest.fail("is read"))
    with pytest.raises(UserError, match=r"its arrays take 0\.0 GB; this machine has 0\.0 GB of memory; fewer or "):
        files.read_npz(path, "x", "y")


def test_an_entry_given_twice_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy()), ("x.npy", npy(np.arange(4))))
    with pytest.raises(UserError, match=r"x\.npy: is there more than once"):
        files.read_npz(path, "x")


def test_an_encrypted_entry_is_refused_by_name(tmp_path):
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy()))
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02") + 8  # the flags in the directory
    path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    with pytest.raises(UserError, match=r"x\.npy: .*is encrypted"):
        files.read_npz(path, "x")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_compression_is_refused_by_name(tmp_path, compression):
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy(np.arange(1000))), compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes(60) + content[100:])
    with pytest.raises(UserError, match=r"a\.npz: is not a readable .npz of plain arrays \(x\.npy: "):
        files.read_npz(path, "x")


def test_an_entry_that_is_not_asked_for_is_not_read(tmp_path):
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy()), ("other.npy", npy(shape=(10**30,))), ("z", b"text"))
    assert list(files.read_npz(path, "x", optional=["y"])) == ["x"]


def test_an_optional_array_is_read_where_it_is(tmp_path):
    files.write_npz(tmp_path / "a.npz", x=np.arange(3), y=np.arange(2))
    assert list(files.read_npz(tmp_path / "a.npz", "x", optional=["y"])) == ["x", "y"]


READERS = {
    "npz": lambda path: files.read_npz(path, "x"),
    "json": lambda path: files.read_json(path, Scores),
    "csv": files.read_csv,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_missing_file_is_named_in_one_line(tmp_path, read):
    with pytest.raises(UserError, match="^.*/none: is missing; ") as error:
        read(tmp_path / "none")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_git_lfs_left_is_named_with_its_remedy(tmp_path, read):
    (tmp_path / "own").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    with pytest.raises(UserError, match=r"/own: is a pointer of Git LFS; `git lfs pull` gets the file; ") as error:
        read(tmp_path / "own")
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("read", [READERS["json"], READERS["csv"]], ids=["json", "csv"])
def test_what_a_merge_left_is_named_with_its_remedy(tmp_path, read):
    (tmp_path / "own").write_text('{\n<<<<<<< HEAD\n"roc_auc": 0.9\n=======\n"roc_auc": 0.8\n>>>>>>> other\n}\n')
    with pytest.raises(UserError, match=r"/own: holds both sides of a merge; resolve the conflict, then run "):
        read(tmp_path / "own")


LINKS = {
    "into a cache that was moved": (
        "a.npz",
        "/old/.dvc/cache/files/md5/ab/cdef",
        "a.npz: is a link to /old/.dvc/cache/files/md5/ab/cdef that leads to no file; run `dvc checkout a.npz` if DVC ",
    ),
    "in the place of its folder": (
        "in/a.npz",
        "/old",
        "in/a.npz: in is a link to /old that leads to no file; run `dvc ",
    ),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("path", "target", "message"), LINKS.values(), ids=LINKS)
def test_a_link_to_nothing_is_no_missing_file(tmp_path, monkeypatch, read, path, target, message):
    monkeypatch.chdir(tmp_path)
    Path(Path(path).parts[0]).symlink_to(target)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value).startswith(message)


def test_a_place_that_was_searched_names_the_link_that_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.npz").symlink_to("/old/mine.npz")
    assert files.searched("own.npz").startswith(", and is a link to /old/mine.npz that leads to no file; run ")


# What a file is, and whether it may be deleted.
OWNERS = {
    "an output": ("data/raw.npz", True),
    "an output among others, by its whole path": ("{here}/models/cnn2.keras", True),
    "a dependency": ("data/own.npz", False),
    "another file": ("own.npz", False),
    "a file elsewhere": ("{here}/../data/raw.npz", False),
}
LOCK = """stages:
  download:
    deps:
    - path: data/own.npz
      md5: 0
    outs:
    - path: models/cnn2.keras
      hash: md5
    - path: data/raw.npz
"""


@pytest.mark.parametrize(("path", "is_output"), OWNERS.values(), ids=OWNERS)
def test_only_an_output_is_to_be_deleted(tmp_path, monkeypatch, path, is_output):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("dvc.lock").write_text(LOCK)
    path = Path(path.format(here=tmp_path / "here"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"is not a readable \.npz") as error:
        files.read_npz(path, "x")
    assert ("delete it, then `dvc checkout`" in str(error.value)) is is_output


def test_a_folder_in_the_place_of_a_file_is_no_damage(tmp_path):
    with pytest.raises(IsADirectoryError) as error:
        files.read_npz(tmp_path, "x")
    assert error.value.filename == str(tmp_path)


def test_an_archive_damaged_anywhere_is_refused_or_read_as_it_was(tmp_path):
    path = tmp_path / "a.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    files.write_npz(path, pixels=pixels)
    content = path.read_bytes()
    assert len(content) > 8192
    refused = 0
    for place in [*range(300), *range(len(content) - 300, len(content))]:
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(files.read_npz(path, "pixels")["pixels"], pixels)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused > 100


NO_SCORES = {
    "a truth value": json.dumps(SCORES | {"roc_auc": True}),
    "text": json.dumps(SCORES | {"roc_auc": "0.5"}),
    "a share above 1": json.dumps(SCORES | {"roc_auc": 9.0}),
    "NaN": json.dumps(SCORES | {"roc_auc": float("nan")}),
    "a negative loss": json.dumps(SCORES | {"log_loss": -1}),
    "a list of nothing": "[]",
    "scores that lack some": '{"roc_auc": 0.5}',
}


@pytest.mark.parametrize("text", NO_SCORES.values(), ids=NO_SCORES)
def test_a_metrics_file_that_holds_no_scores_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json: ") as error:
        files.read_json(tmp_path / "metrics.json", Scores)
    assert len(str(error.value).splitlines()) == 1


NO_TABLES = {"an empty file": b"", "a short row": b"a,b\n1\n", "an open quote": b'a,b\n"1,2\n', "no text": b"a\xff\n"}


@pytest.mark.parametrize("content", NO_TABLES.values(), ids=NO_TABLES)
def test_a_damaged_table_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.csv: is not a ") as error:
        files.read_csv(tmp_path / "a.csv")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(content=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path, read, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
