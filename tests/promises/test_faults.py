"""Faults of disks, files and surroundings: each ends with one line that names the file, and costs no good output."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import project
import pytest
from project import SMALL_MODEL as MODEL

from study.base import files
from study.base.runtime import UserError
from study.data import arrays
from study.eda.record import Eda
from study.evaluation import test_split
from study.evaluation.final_scores import FinalScores
from study.model_files import keras_file, repeats_file
from study.report.run import working_folder
from study.scoring.scores import ValidationScores
from study.search.outcome import winner

pytestmark = pytest.mark.slow
TRAIN, STAGE = f"stages.train.{MODEL}", f"train@{MODEL}"
STOPPED = "stopped; `dvc repro` continues after the last finished epoch"


@pytest.fixture
def repository(small_run, tmp_path) -> Path:
    """A copy of the finished small run, to be damaged."""
    return Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))


@pytest.fixture
def run(repository, server) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command in the repository; `python` is a fork of the server."""

    def run(*command: str, check: bool = False, **environment: str) -> subprocess.CompletedProcess:
        return project.shell(repository, *command, check=check, **server.environment | environment)

    return run


def assert_one_line(done: subprocess.CompletedProcess, *parts: str) -> None:
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert [part for part in parts if part not in done.stderr] == [], done.stderr


def mounts_are_allowed() -> bool:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


# Where CI runs, these tests must not be left out in silence.
needs_mounts = pytest.mark.skipif(
    not mounts_are_allowed() and "CI" not in os.environ, reason="needs user and mount namespaces"
)
READ_ONLY = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"
# Holds what the folder holds, and not a byte more: a file of less than a kilobyte finds no room either.
FULL = """copy=$(mktemp -d) && cp -a {0}/. $copy && mount -t tmpfs none {0} && cp -a $copy/. {0} && rm -r $copy &&
    mount -o remount,size=$(df --block-size=1 --output=used {0} | tail -n 1) {0}"""
# In the place of a folder that is empty: tmpfs takes a size of 0 for no limit.
SMALL = "mount -t tmpfs -o size=16k none {0}"


@pytest.fixture
def run_on(repository, run) -> Callable[..., tuple[subprocess.CompletedProcess, str, str]]:
    """Run a stage in a mount namespace of its own, in which `mount` has put another disk in the place of `disk`.

    Returns also the hashes of the files on that disk before and after, which nothing outside the namespace can see.
    """

    def run_on(mount: str, disk: str, *module: str) -> tuple[subprocess.CompletedProcess, str, str]:
        before, after = repository.parent / "before.sha256", repository.parent / "after.sha256"
        hashes = f"find {disk} -type f | sort | xargs -r sha256sum"
        script = f"""
            {mount.format(disk)} && {hashes} > {before} || exit 99
            python -m {" ".join(module)}
            status=$?
            {hashes} > {after} || exit 99
            exit $status
        """
        done = run("unshare", "--map-root-user", "--mount", "sh", "-c", script)
        assert done.returncode != 99, done.stderr
        return done, before.read_text(), after.read_text()

    return run_on


NO_SPACE, NO_WRITING = "No space left on device", "Read-only file system"


DISKS = {
    "download, full": (["stages.download"], "data", FULL, NO_SPACE),
    "evaluate, full": (["stages.evaluate", MODEL], "plots/predictions", FULL, NO_SPACE),
    "report, read-only": (["stages.report"], "reports", READ_ONLY, NO_WRITING),
    "tune, full": (["stages.tune"], "checkpoints", SMALL, NO_SPACE),
    "train, no live metrics": ([TRAIN], "live_metrics", READ_ONLY, NO_WRITING),
}


@needs_mounts
@pytest.mark.parametrize(("module", "disk", "mount", "fault"), DISKS.values(), ids=DISKS)
def test_a_disk_that_cannot_be_written_to_is_named_and_costs_nothing(repository, run_on, module, disk, mount, fault):
    expected = project.outputs(repository)
    (repository / disk).mkdir(exist_ok=True)
    done, before, after = run_on(mount, disk, *module)
    assert_one_line(done, disk, fault)
    assert ".partial" not in after
    assert after == before or disk == "checkpoints"
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
def test_a_training_that_could_not_be_saved_costs_nothing_and_is_saved_without_training_again(repository, run, run_on):
    expected = project.outputs(repository)
    failed, before, after = run_on(FULL, "models", TRAIN)
    assert_one_line(failed, f"models/{MODEL}.keras", NO_SPACE)
    assert before
    assert after == before
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))
    assert project.epochs(failed.stdout)
    again = run("python", "-m", TRAIN)
    assert again.returncode == 0
    assert project.epochs(again.stdout) == []
    assert project.outputs(repository) == expected


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def strip(path: Path) -> None:
    path.write_text("{}\n")


def remove(path: Path) -> None:
    path.unlink()


# What reads each file of the finished run, by its path.
READERS = {
    "data/raw.npz": arrays.read_raw,
    "data/prepared.npz": arrays.read_prepared,
    "data/test.npz": test_split.read,
    f"models/{MODEL}.keras": lambda: keras_file.read(f"models/{MODEL}.keras"),
    f"models/repeats/{MODEL}.npz": lambda: repeats_file.read(MODEL),
    f"metrics/validation/{MODEL}.json": lambda: files.read_json(f"metrics/validation/{MODEL}.json", ValidationScores),
    f"metrics/test/{MODEL}.json": lambda: working_folder().json(f"metrics/test/{MODEL}.json", FinalScores),
    f"metrics/images/{MODEL}.csv": lambda: working_folder().images(MODEL),
    "metrics/tune.json": winner.read,
    "metrics/eda.json": lambda: files.read_json("metrics/eda.json", Eda),
    "metrics/trials.csv": lambda: files.read_csv("metrics/trials.csv"),
}
DAMAGED = [
    pytest.param(damage, path, id=f"{damage.__name__} {path}")
    for path in READERS
    for damage in (truncate, corrupt, empty, remove, *([strip] if path.endswith(".json") else []))
]


@pytest.mark.parametrize(("damage", "path"), DAMAGED)
def test_a_damaged_file_is_refused_by_its_reader_with_its_remedy(small_run, tmp_path, monkeypatch, damage, path):
    (tmp_path / path).parent.mkdir(parents=True)
    for name in (path, "dvc.lock"):
        shutil.copy(small_run[0] / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    damage(Path(path))
    with pytest.raises(UserError, match=f"^{re.escape(path)}: .*`dvc repro") as error:
        READERS[path]()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "path", "module"),
    [
        pytest.param(corrupt, "data/prepared.npz", [TRAIN], id="arrays"),
        pytest.param(truncate, f"models/{MODEL}.keras", ["stages.evaluate", MODEL], id="model"),
        pytest.param(truncate, f"metrics/images/{MODEL}.csv", ["stages.report"], id="table"),
        pytest.param(strip, "metrics/tune.json", ["stages.best"], id="record"),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy_and_restored_by_it(repository, run, damage, path, module):
    expected = project.outputs(repository)
    damage(repository / path)
    damaged = project.outputs(repository)
    assert_one_line(run("python", "-m", *module), path, "dvc repro")
    assert project.outputs(repository) == damaged
    if path.startswith("metrics"):
        run("git", "restore", path, check=True)
    else:
        (repository / path).unlink()
        run("dvc", "checkout", path, check=True)
    assert project.outputs(repository) == expected


def test_dvc_repro_mends_a_damaged_output_from_its_cache(repository, run):
    expected = project.outputs(repository)
    truncate(repository / "data/prepared.npz")
    run("dvc", "repro", check=True)
    assert project.outputs(repository) == expected


def damage_cache(repository: Path, run: Callable, path: str) -> Path:
    """Corrupt DVC's copy of an output, take the output away and let DVC bring it back; the path of the copy."""
    (digest,) = (
        out["md5"] for stage in project.lock(repository).values() for out in stage["outs"] if out["path"] == path
    )
    cached = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    assert cached.stat().st_mode & 0o777 == 0o444
    cached.chmod(0o644)
    corrupt(cached)
    cached.chmod(0o444)
    (repository / path).unlink()
    run("dvc", "checkout", path, check=True)
    assert (repository / path).read_bytes() == cached.read_bytes()
    return cached


def test_a_file_damaged_in_dvcs_cache_is_made_anew_once_its_copy_there_is_deleted(repository, run):
    expected = project.outputs(repository)
    path = "data/prepared.npz"
    cached = damage_cache(repository, run, path)
    assert_one_line(run("python", "-m", TRAIN), path, "dvc repro")
    # DVC never checks a copy that nobody may write to, and puts it even in the place of the file that the stage made.
    assert "up to date" in run("dvc", "status", "dvc.yaml", check=True).stdout
    run("dvc", "repro", "--force", "--single-item", "prepare", check=True)
    assert project.outputs(repository) != expected
    cached.unlink()
    (repository / path).unlink()
    run("dvc", "repro", check=True)
    assert project.outputs(repository) == expected


def test_a_stage_that_fails_under_dvc_leaves_its_last_outputs_a_checkout_away(repository, run):
    expected = project.outputs(repository)
    params = repository / "params.yaml"
    before = params.read_text()
    params.write_text(re.sub(r"(?m)^(    learning_rate:) .*$", r"\1 11.0", before, count=1))
    failed = run("dvc", "repro")
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    (error,) = (line for line in failed.stderr.splitlines() if line.startswith("error: "))
    assert error.startswith(f"error: params.yaml: models.{MODEL}.learning_rate is 11.0")
    lost = expected.keys() - project.outputs(repository).keys()  # DVC removes a stage's outputs before it runs
    assert lost == {f"models/{MODEL}.keras", f"models/repeats/{MODEL}.npz", f"metrics/validation/{MODEL}.json"}
    params.write_text(before)
    run("git", "restore", "metrics", "plots", "reports", check=True)
    run("dvc", "checkout", check=True)
    assert project.outputs(repository) == expected
    assert "Running stage" not in run("dvc", "repro", check=True).stdout


@pytest.fixture
def prepared(prepared_run, tmp_path) -> Path:
    """A clone of the small run's repository whose data are prepared and whose models are yet to be trained."""
    return Path(shutil.copytree(prepared_run, tmp_path / "clone", symlinks=True))


def interrupt(folder: Path, *command: str, at: str) -> tuple[int, str, str]:
    """Press Ctrl-C at the first line that starts with `at`: SIGINT to the command and all its children, as a terminal
    sends it. Return the exit status, and what was printed on stdout and stderr."""
    return run_and(lambda running: os.killpg(running.pid, signal.SIGINT), folder, *command, at=at)


def run_and(
    act: Callable[[subprocess.Popen], None], folder: Path, *command: str, at: str, **environment: str
) -> tuple[int, str, str]:
    """Run a command and do something at the first line that starts with `at`. Return the exit status, and what the
    command and its children printed on stdout and stderr."""
    with (folder.parent / "errors.txt").open("w+") as errors:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env=project.environment(PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            printed, seen = "", False
            for line in running.stdout:
                printed += line
                if line.startswith(at) and not seen:
                    seen = True
                    act(running)
            status = running.wait()
        finally:  # also where the test itself is stopped
            with contextlib.suppress(ProcessLookupError):  # of no process that is left
                os.killpg(running.pid, signal.SIGKILL)
        assert seen, printed
        errors.seek(0)
        return status, printed, errors.read()


def test_ctrl_c_ends_with_one_line_and_130_and_costs_nothing(repository):
    expected = project.outputs(repository)
    status, _, errors = interrupt(repository, sys.executable, "-m", TRAIN, at="epoch 2/")
    assert status == 130
    assert errors.splitlines() == [STOPPED]
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@pytest.fixture
def assert_goes_on(prepared, small_run, server) -> Callable[[str], None]:
    """Assert that the next `dvc repro` ends as the small run did, and trains no epoch again that was printed."""

    def assert_goes_on(printed: str) -> None:
        again = project.shell(prepared, "dvc", "repro", STAGE, **server.environment)
        assert project.lock(prepared)[STAGE] == project.lock(small_run[0])[STAGE]
        needed = [epoch for epoch in project.epochs(small_run[1]) if epoch.startswith(f"{STAGE} ")]
        project.assert_trained_once(needed, [project.epochs(printed), project.epochs(again.stdout)])

    return assert_goes_on


def test_ctrl_c_during_dvc_repro_shows_the_stages_line_and_the_next_dvc_repro_goes_on(prepared, assert_goes_on):
    status, printed, errors = interrupt(prepared, "dvc", "repro", STAGE, at="epoch 2/")
    assert status != 0
    assert "Traceback" not in printed + errors
    assert STOPPED in errors.splitlines()
    assert_goes_on(printed)


def test_a_training_ends_with_the_dvc_that_runs_it_and_the_next_dvc_repro_goes_on(prepared, assert_goes_on):
    status, printed, errors = run_and(lambda dvc: dvc.terminate(), prepared, "dvc", "repro", STAGE, at="epoch 2/")
    assert status == -signal.SIGTERM
    assert errors.splitlines() == ["error: DVC was ended while it ran this stage; `dvc repro` goes on with it"]
    assert_goes_on(printed)


def test_a_second_training_beside_dvc_repro_is_refused_in_one_line(prepared, server):
    beside = []

    def train(_) -> None:
        beside.append(project.shell(prepared, "python", "-m", TRAIN, check=False, **server.environment))

    status, _, errors = run_and(train, prepared, "dvc", "repro", STAGE, at="epoch 1/", **server.environment)
    assert (status, errors) == (0, "")
    assert_one_line(
        beside[0], f"live_metrics/{MODEL}: process ", f" trains {MODEL} in this folder; wait for it, or end"
    )


def test_code_that_is_edited_during_a_training_is_not_recorded_as_what_made_the_model(prepared, server, assert_goes_on):
    path = "study/models/cnn/build.py"
    before = (prepared / path).read_text()

    def change(_) -> None:
        (prepared / path).write_text(f"{before}# edited\n")

    status, printed, errors = run_and(change, prepared, "dvc", "repro", STAGE, at="epoch 1/", **server.environment)
    assert status != 0
    assert f"error: {path} changed while this stage ran; run `dvc repro` again" in errors.splitlines()
    assert "Traceback" not in printed + errors
    assert STAGE not in project.lock(prepared)
    assert not (prepared / f"models/{MODEL}.keras").exists()
    (prepared / path).write_text(before)
    assert_goes_on(printed)
