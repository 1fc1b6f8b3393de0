"""Faults of disks, files and surroundings: each ends with one line that names the file, and costs no good output."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import project
import pytest

pytestmark = pytest.mark.slow
MODEL = "cnn3_plateau"


@pytest.fixture
def repository(small_run, tmp_path) -> Path:
    """A copy of the finished small run, to be damaged."""
    return Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))


def stage(folder: Path, *module: str, **environment: str) -> subprocess.CompletedProcess:
    return project.shell(folder, sys.executable, "-m", *module, check=False, **environment)


def stage_on(mount: str, disk: str, folder: Path, *module: str) -> tuple[subprocess.CompletedProcess, str, str]:
    """Run a stage in a mount namespace of its own, in which `mount` has put another disk in the place of `disk`; also
    the hashes of the files on that disk before and after, which nothing outside the namespace can see."""
    before, after = folder.parent / "before.sha256", folder.parent / "after.sha256"
    hashes = f"find {disk} -type f | sort | xargs -r sha256sum"
    script = f"""
        {mount.format(disk)} && {hashes} > {before} || exit 99
        "{sys.executable}" -m {" ".join(module)}
        status=$?
        {hashes} > {after} || exit 99
        exit $status
    """
    done = project.shell(folder, "unshare", "--map-root-user", "--mount", "sh", "-c", script, check=False)
    assert done.returncode != 99, done.stderr
    return done, before.read_text(), after.read_text()


def assert_one_line(done: subprocess.CompletedProcess, *said: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert errors == done.stderr.splitlines()[-1:]
    for part in said:
        assert part in errors[0]


def mounts_are_allowed() -> bool:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


# Where CI runs, these tests must not be left out in silence.
needs_mounts = pytest.mark.skipif(
    not mounts_are_allowed() and "CI" not in os.environ, reason="needs user and mount namespaces"
)
READ_ONLY = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"
# Holds what the folder holds, and not a byte more: also a file of less than a kilobyte finds no room.
FULL = """copy=$(mktemp -d) && cp -a {0}/. $copy && mount -t tmpfs none {0} && cp -a $copy/. {0} && rm -r $copy &&
    mount -o remount,size=$(df --block-size=1 --output=used {0} | tail -n 1) {0}"""
# In the place of a folder that is empty: tmpfs takes a size of 0 for no limit.
SMALL = "mount -t tmpfs -o size=16k none {0}"


@needs_mounts
@pytest.mark.parametrize(
    ("module", "disk", "mount", "said"),
    [
        (["stages.download"], "data", FULL, ["data/raw.npz", "No space left on device"]),
        (["stages.download"], "data", READ_ONLY, ["data/raw.npz", "Read-only file system"]),
        (["stages.eda"], "metrics", FULL, ["metrics/eda.json", "No space left on device"]),
        (["stages.eda"], "plots", FULL, ["plots/eda", "No space left on device"]),
        ([f"stages.train.{MODEL}"], "models", FULL, [f"models/{MODEL}.keras", "No space left on device"]),
        ([f"stages.train.{MODEL}"], "models", READ_ONLY, [f"models/{MODEL}.keras", "Read-only file system"]),
        (["stages.evaluate", MODEL], "plots/predictions", FULL, ["plots/predictions", "No space left on device"]),
        (["stages.report"], "reports", READ_ONLY, ["reports/ranking.md", "Read-only file system"]),
    ],
)
def test_a_disk_that_cannot_be_written_to_is_named_and_costs_nothing(repository, module, disk, mount, said):
    expected = project.outputs(repository)
    done, before, after = stage_on(mount, disk, repository, *module)
    assert_one_line(done, *said)
    assert before
    assert after == before
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
@pytest.mark.parametrize(
    ("module", "disk", "mount", "said"),
    [
        (f"stages.train.{MODEL}", "checkpoints", SMALL, ["checkpoints/", "No space left on device"]),
        ("stages.tune", "checkpoints", SMALL, ["checkpoints/", "No space left on device"]),
        (f"stages.train.{MODEL}", "dvclive", READ_ONLY, ["dvclive", "Read-only file system"]),
    ],
)
def test_a_disk_that_takes_no_state_of_a_training_is_named_and_costs_nothing(repository, module, disk, mount, said):
    expected = project.outputs(repository)
    (repository / disk).mkdir()
    done, _, after = stage_on(mount, disk, repository, module)
    assert_one_line(done, *said)
    assert ".partial" not in after
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
def test_a_training_that_could_not_be_saved_is_saved_without_training_again(repository):
    expected = project.outputs(repository)
    failed, *_ = stage_on(FULL, "models", repository, f"stages.train.{MODEL}")
    assert failed.returncode == 1
    assert "Epoch 1/" in failed.stdout
    again = stage(repository, f"stages.train.{MODEL}")
    assert again.returncode == 0
    assert "Epoch" not in again.stdout
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


@pytest.mark.parametrize(
    ("path", "damage", "module"),
    [
        ("data/raw.npz", truncate, ["stages.eda"]),
        ("data/raw.npz", corrupt, ["stages.prepare"]),
        ("data/prepared.npz", truncate, [f"stages.train.{MODEL}"]),
        ("data/prepared.npz", corrupt, ["stages.tune"]),
        ("data/test.npz", empty, ["stages.evaluate", MODEL]),
        ("data/test.npz", corrupt, ["stages.best"]),
        (f"models/{MODEL}.keras", truncate, ["stages.evaluate", MODEL]),
        (f"models/{MODEL}.keras", corrupt, ["stages.evaluate", MODEL]),
        (f"models/{MODEL}.keras", empty, ["stages.evaluate", MODEL]),
        (f"data/predictions/{MODEL}.npz", truncate, ["stages.report"]),
        (f"metrics/validation/{MODEL}.json", truncate, ["stages.tune"]),
        (f"metrics/validation/{MODEL}.json", strip, ["stages.tune"]),
        (f"metrics/test/{MODEL}.json", empty, ["stages.report"]),
        ("metrics/tune.json", truncate, ["stages.best"]),
        ("metrics/tune.json", strip, ["stages.report"]),
        ("metrics/best.json", strip, ["stages.report"]),
        ("metrics/eda.json", strip, ["stages.report"]),
        ("metrics/trials.csv", Path.unlink, ["stages.report"]),
        ("metrics/trials.csv", empty, ["stages.report"]),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy_and_restored_by_it(repository, path, damage, module):
    expected = project.outputs(repository)
    damage(repository / path)
    damaged = project.outputs(repository)
    assert_one_line(stage(repository, *module), path, "dvc repro")
    assert project.outputs(repository) == damaged
    if path.startswith("metrics"):
        project.shell(repository, "git", "restore", path)
    else:
        (repository / path).unlink()
        project.shell(repository, "dvc", "checkout", path)
    assert project.outputs(repository) == expected


def test_dvc_repro_mends_a_damaged_output_from_its_cache(repository):
    expected = project.outputs(repository)
    truncate(repository / "data/prepared.npz")
    project.shell(repository, "dvc", "repro")
    assert project.outputs(repository) == expected


def damage_cache(repository: Path, path: str, mode: int) -> Path:
    """Corrupt DVC's copy of an output, take the output away and let DVC bring it back; the path of the copy."""
    lock = (repository / "dvc.lock").read_text()
    digest = re.search(rf"path: {path}\n\s+hash: md5\n\s+md5: (\w+)", lock).group(1)
    cached = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    assert cached.stat().st_mode & 0o777 == 0o444
    cached.chmod(0o644)
    corrupt(cached)
    cached.chmod(mode)
    (repository / path).unlink()
    project.shell(repository, "dvc", "checkout", path)
    assert (repository / path).read_bytes() == cached.read_bytes()
    return cached


def test_a_file_damaged_in_dvcs_cache_is_made_anew_once_its_copy_there_is_deleted(repository):
    expected = project.outputs(repository)
    path = "data/prepared.npz"
    cached = damage_cache(repository, path, 0o444)
    assert_one_line(stage(repository, f"stages.train.{MODEL}"), path, "dvc repro")
    # DVC never checks a copy that nobody may write to, and puts it even in the place of the file that the stage made.
    assert "up to date" in project.shell(repository, "dvc", "status").stdout
    project.shell(repository, "dvc", "repro", "--force", "--single-item", "prepare")
    assert project.outputs(repository) != expected
    cached.unlink()
    (repository / path).unlink()
    project.shell(repository, "dvc", "repro")
    assert project.outputs(repository) == expected


def test_a_file_damaged_in_a_cache_that_may_be_written_to_is_made_anew_by_force(repository):
    expected = project.outputs(repository)
    damage_cache(repository, "data/prepared.npz", 0o644)
    assert_one_line(stage(repository, f"stages.train.{MODEL}"), "data/prepared.npz", "dvc repro")
    project.shell(repository, "dvc", "repro", "--force", "--single-item", "prepare")
    project.shell(repository, "dvc", "repro")
    assert project.outputs(repository) == expected


def test_a_stage_that_fails_under_dvc_leaves_its_last_outputs_a_checkout_away(repository):
    expected = project.outputs(repository)
    params = repository / "params.yaml"
    before = params.read_text()
    params.write_text(re.sub(r"(?m)^(    learning_rate:) .*$", r"\1 11.0", before, count=1))
    done = project.shell(repository, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: params.yaml: models.{MODEL}.learning_rate is 11.0")
    lost = expected.keys() - project.outputs(repository).keys()  # DVC removes a stage's outputs before it runs
    assert lost == {
        f"models/{MODEL}.keras",
        f"plots/training/{MODEL}.csv",
        f"metrics/validation/{MODEL}.json",
    }
    params.write_text(before)
    project.shell(repository, "git", "restore", "metrics", "plots", "reports")
    project.shell(repository, "dvc", "checkout")
    assert project.outputs(repository) == expected
    assert "Running stage" not in project.shell(repository, "dvc", "repro").stdout


def test_a_download_that_fails_leaves_the_last_data_a_checkout_away(repository):
    expected = project.outputs(repository)
    params = repository / "params.yaml"
    before = params.read_text()
    params.write_text(
        before.replace("source: synthetic", "source: npz")
        .replace("path: null", "path: http://127.0.0.1:9/none.npz")
        .replace("sha256: null", f"sha256: {'a' * 64}")
    )
    done = project.shell(repository, "dvc", "repro", check=False, KERAS_HOME=str(repository / "keras"))
    assert done.returncode != 0
    assert "error: data.path http://127.0.0.1:9/none.npz cannot be downloaded" in done.stderr
    assert "Traceback" not in done.stderr
    params.write_text(before)
    project.shell(repository, "dvc", "checkout")
    assert project.outputs(repository) == expected


def interrupt(folder: Path, *command: str, at: str, nth: int = 1) -> tuple[int, str, str]:
    """Press Ctrl-C at the nth line that starts with `at`: SIGINT to the command and all its children, as a terminal
    sends it. The exit status, and what was said on stdout and stderr."""
    with (folder.parent / "errors.txt").open("w+") as errors:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env=project.environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        said, seen = "", 0
        for line in running.stdout:
            said += line
            if line.startswith(at):
                seen += 1
                if seen == nth:
                    os.killpg(running.pid, signal.SIGINT)
        status = running.wait(60)
        assert seen >= nth, said
        errors.seek(0)
        return status, said, errors.read()


def epochs(said: str, stage: str = "") -> int:
    """How many epochs were begun; `stage` picks that stage's part of what `dvc repro` said."""
    part = said.partition(f"Running stage '{stage}':")[2].partition("Running stage ")[0] if stage else said
    return len(re.findall(r"(?m)^Epoch \d+/", part))


STOPPED = "stopped; `dvc repro` goes on after the last whole epoch"


@pytest.mark.parametrize(
    ("name", "module", "nth"),
    [(f"train@{MODEL}", f"stages.train.{MODEL}", 1), ("tune", "stages.tune", 2)],
)
def test_ctrl_c_ends_with_one_line_and_130_and_training_goes_on_later(repository, small_run, name, module, nth):
    expected, needed = project.outputs(repository), epochs(small_run[1], name)
    status, said, errors = interrupt(repository, sys.executable, "-m", module, at="Epoch 3/", nth=nth)
    assert status == 130
    assert errors.splitlines()[-1] == STOPPED
    assert "Traceback" not in errors
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))
    again = stage(repository, module)
    assert again.returncode == 0
    assert 3 <= epochs(said) < needed
    assert needed <= epochs(said) + epochs(again.stdout) <= needed + 1
    assert project.outputs(repository) == expected


def test_ctrl_c_during_dvc_repro_shows_the_stages_line_and_the_next_dvc_repro_goes_on(small_run, tmp_path):
    expected, needed = project.outputs(small_run[0]), epochs(small_run[1])
    clone = project.copy(tmp_path / "clone", project.small)
    status, said, errors = interrupt(clone, "dvc", "repro", at="Epoch 3/")
    assert status != 0
    assert "Traceback" not in said + errors
    assert STOPPED in errors.splitlines()
    again = project.shell(clone, "dvc", "repro")
    assert project.outputs(clone) == expected
    assert needed <= epochs(said) + epochs(again.stdout) <= needed + 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KERAS_MAX_EPOCHS": "1"}, "KERAS_MAX_EPOCHS is set and would cut trainings short"),
        ({"KERAS_BACKEND": "theano"}, "KERAS_BACKEND is 'theano'; allowed: tensorflow, jax, torch"),
        ({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND is jax, which is not installed"),
        ({"KERAS_BACKEND": ""}, "KERAS_BACKEND is ''"),
    ],
)
def test_an_unfit_environment_of_keras_is_named(repository, environment, said):
    assert_one_line(stage(repository, f"stages.train.{MODEL}", **environment), said)


def test_without_git_a_stage_still_trains(repository):
    expected = project.outputs(repository)
    shutil.rmtree(repository / ".git")
    done = stage(repository, f"stages.train.{MODEL}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert project.outputs(repository) == expected


def test_without_dvc_the_command_says_so_in_one_line(repository):
    shutil.rmtree(repository / ".dvc")
    done = project.shell(repository, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("ERROR: you are not inside of a DVC repository")
    assert "Traceback" not in done.stderr


def test_without_params_a_stage_names_the_file(repository):
    (repository / "params.yaml").unlink()
    assert_one_line(stage(repository, "stages.prepare"), "params.yaml: is missing from this folder")


def test_evaluate_without_a_name_says_how_to_call_it(repository):
    assert_one_line(stage(repository, "stages.evaluate"), "python -m stages.evaluate cnn2")
