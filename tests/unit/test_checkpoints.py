"""One training has one writer, and a checkpoint outlives the copy of the repository that an experiment ran in."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import project
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.base import checkpoints, files
from study.base.checkpoints import Claim
from study.base.runtime import UserError

KEY, OTHER = "1" * 64, "2" * 64
# Takes the folder of a training, says so, and leaves a file in it once it is told to end.
CLAIM = """
import sys
from study.base.checkpoints import Claim

claim = Claim(*sys.argv[1:])
print("claimed", flush=True)
sys.stdin.read()
(claim.folder / "trained").touch()
"""


@pytest.fixture
def claim(monkeypatch, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a process that claims a folder; this process works in the same repository."""
    monkeypatch.chdir(tmp_path)
    started = []

    def claim(name: str, key: str, folder: Path = tmp_path, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, name, key],
            cwd=folder,
            env=project.environment(PYTHONPATH=str(project.ROOT), **environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield claim
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """The copy of the repository that DVC runs a queued experiment in."""
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return copy


def claimed(process: subprocess.Popen) -> bool:
    return process.stdout.readline() == "claimed\n"


@pytest.mark.slow
def test_a_second_training_of_a_name_is_refused_in_one_line_that_names_the_first(claim):
    first = claim("cnn2", KEY)
    assert claimed(first)
    with pytest.raises(UserError, match=f"^checkpoints/cnn2: process {first.pid} trains cnn2 .*`kill {first.pid}`"):
        Claim("cnn2", OTHER)
    Claim("cnn3", KEY)
    first.kill()
    first.wait()
    Claim("cnn2", OTHER)


@pytest.mark.slow
def test_a_copy_that_trains_the_very_same_waits_and_takes_what_was_trained(claim, copy, tmp_path):
    first = claim("cnn2", KEY)
    assert claimed(first)
    second = claim("cnn2", KEY, copy, DVC_ROOT=str(tmp_path))
    assert second.stdout.readline() == (
        f"checkpoints/cnn2/{KEY[:16]}: process {first.pid} trains the same; waiting to take what it trains\n"
    )
    first.communicate()
    assert claimed(second)
    assert (copy / "checkpoints/cnn2" / KEY[:16] / "trained").exists()


@pytest.mark.slow
def test_what_a_process_holds_is_not_cleared(claim):
    Claim("best", KEY).release()
    assert claimed(claim("cnn2", KEY))
    checkpoints.clear()
    assert [path.name for path in Path("checkpoints").iterdir()] == ["cnn2"]
    assert (Path("checkpoints/cnn2") / KEY[:16]).is_dir()


def test_a_lock_that_is_deleted_before_it_is_held_is_taken_anew(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path, lockf = tmp_path / "checkpoints/cnn2" / checkpoints.LOCK, fcntl.lockf

    def deleting(file, how):
        monkeypatch.setattr(fcntl, "lockf", lockf)
        path.unlink()
        lockf(file, how)

    monkeypatch.setattr(fcntl, "lockf", deleting)
    claim = Claim("cnn2", KEY)
    assert path.read_text() == str(os.getpid())
    claim.release()


def test_a_released_folder_is_cleared(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    checkpoints.only_one("tune", "searches").close()
    claim = Claim("tune/cnn2-0", KEY)
    for name in checkpoints.FILES:
        (claim.folder / name).touch()
        (claim.folder / f"{name}.partial").touch()  # as a kill leaves it
    claim.release()
    journal = checkpoints.delete_journal()
    optuna.create_study(storage=JournalStorage(JournalFileBackend(str(journal))))
    (journal.parent / "optuna.journal.lock").symlink_to(journal)
    checkpoints.clear()
    assert list(tmp_path.iterdir()) == []


# What a user may keep in a folder: made by a function of the folder and of another one that is outside the repository.
OWN = {
    "a note": lambda folder, outside: (folder / "notes.txt").write_text("own"),
    "weights": lambda folder, outside: (folder / "resnet50.weights.h5").write_bytes(b"own"),
    "a link to a file": lambda folder, outside: (folder / "own.npz").symlink_to(outside / "model.npz"),
    "a link to a folder": lambda folder, outside: (folder / "shared").symlink_to(outside),
    "a link to nothing": lambda folder, outside: (folder / "gone").symlink_to(outside / "none"),
    "an empty folder": lambda folder, outside: (folder / "empty").mkdir(),
    "arrays": lambda folder, outside: np.savez(folder / "own.npz", weights=np.zeros(3)),
    "a folder with a lock": lambda folder, outside: files.write_text(folder / "own/lock", "mine"),
}


def tree(folder: Path) -> dict[str, str | bytes | None]:
    """By path: the content of a file, the target of a link, None for a folder."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_what_the_user_keeps_beside_checkpoints_stays(own, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "outside"
    claim = Claim("cnn2", KEY)
    for folder in (claim.folder, Path("checkpoints/cnn2"), Path("checkpoints"), Path("checkpoints/imagenet"), outside):
        folder.mkdir(exist_ok=True)
        own(folder, outside)
    files.write_text(outside / checkpoints.LOCK, "1")
    np.savez(outside / "model.npz", key=KEY)
    kept = tree(tmp_path)
    lock = kept.pop(f"{claim.folder}/lock"), kept.pop("checkpoints/cnn2/lock")
    assert lock == (str(os.getpid()).encode(),) * 2
    files.write_npz(claim.folder / "model.npz", key=KEY, weights=np.zeros(3))
    claim.release()
    checkpoints.clear()
    assert tree(tmp_path) == kept


def test_checkpoints_that_lie_elsewhere_are_cleared_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("disk").mkdir()
    Path("checkpoints").symlink_to("disk")
    Claim("cnn2", KEY).release()
    checkpoints.clear()
    assert tree(tmp_path) == {"disk": None, "checkpoints": "disk"}


@pytest.mark.parametrize("link", [False, True], ids=["a file", "a link"])
def test_a_lock_of_the_user_is_refused_and_stays(link, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoints/cnn2/lock"
    path.parent.mkdir(parents=True)
    Path("notes").write_text("own")
    path.symlink_to(tmp_path / "notes") if link else path.write_text("own")
    with pytest.raises(UserError, match=r"^checkpoints/cnn2/lock: is not the lock of a run, .*; move it$"):
        Claim("cnn2", KEY)
    assert path.read_text() == "own"


def test_without_checkpoints_there_is_nothing_to_clear(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    checkpoints.clear()
    assert list(tmp_path.iterdir()) == []


def test_what_a_copy_keeps_lies_in_the_repository_and_serves_the_next_copy(copy, monkeypatch, tmp_path):
    monkeypatch.chdir(copy)
    files.write_json(Claim("cnn2", KEY).folder / "result.json", {})
    assert (tmp_path / "checkpoints/cnn2" / KEY[:16] / "result.json").exists()
    again = copy.with_name("tmp2")
    again.mkdir()
    monkeypatch.chdir(again)
    assert (Claim("cnn2", KEY).folder / "result.json").exists()


def test_a_copy_clears_what_it_kept_and_nothing_else(copy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Claim("cnn2", OTHER).release()
    monkeypatch.chdir(copy)
    Claim("cnn2", KEY).release()
    Claim("best", KEY).release()
    Path("checkpoints/shared").symlink_to(tmp_path / "checkpoints/cnn2" / OTHER[:16])
    (tmp_path / "checkpoints/best" / KEY[:16] / "notes.txt").write_text("own")
    checkpoints.clear()
    assert [path.name for path in Path("checkpoints").iterdir()] == ["shared"]
    assert {str(path.relative_to(tmp_path / "checkpoints")) for path in tmp_path.glob("checkpoints/*/*")} == {
        f"cnn2/{OTHER[:16]}",
        "cnn2/lock",
        f"best/{KEY[:16]}",
    }
    assert tree(tmp_path / "checkpoints/best") == {KEY[:16]: None, f"{KEY[:16]}/notes.txt": b"own"}


def test_the_checkpoints_of_a_copy_may_be_deleted_at_any_time(copy, monkeypatch, tmp_path):
    monkeypatch.chdir(copy)
    claim = Claim("cnn2", KEY)
    shutil.rmtree(tmp_path / "checkpoints")
    files.write_json(claim.folder / "result.json", {})
    shutil.rmtree(tmp_path / "checkpoints")
    assert not (Claim("cnn2", KEY).folder / "result.json").exists()


def test_an_outer_pipeline_keeps_no_checkpoints_of_this_one(monkeypatch, tmp_path):
    """DVC_ROOT is then the outer repository's."""
    (tmp_path / "inner").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path / "inner")
    Claim("cnn2", KEY)
    assert not (tmp_path / "checkpoints").exists()
