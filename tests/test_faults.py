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


def stage(folder: Path, *module: str, before: str = "true", **environment: str) -> subprocess.CompletedProcess:
    """Run a stage in a mount namespace of its own, where the shell command `before` comes first."""
    inside = ["unshare", "--map-root-user", "--mount"] if before != "true" else []
    command = f'{before} && exec "{sys.executable}" -m {" ".join(module)}'
    return project.shell(folder, *inside, "sh", "-c", command, check=False, **environment)


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
FULL = "mount -t tmpfs -o size=16k none {}"
READ_ONLY = "mount -t tmpfs -o ro none {}"


@needs_mounts
@pytest.mark.parametrize(
    ("module", "folder", "mount", "said"),
    [
        (["stages.download"], "data", FULL, ["data/raw.npz", "No space left on device"]),
        (["stages.download"], "data", READ_ONLY, ["data/raw.npz", "Read-only file system"]),
        (["stages.eda"], "plots", FULL, ["plots/eda", "No space left on device"]),
        ([f"stages.train.{MODEL}"], "models", FULL, [f"models/{MODEL}.keras", "No space left on device"]),
        ([f"stages.train.{MODEL}"], "models", READ_ONLY, [f"models/{MODEL}.keras", "Read-only file system"]),
        ([f"stages.train.{MODEL}"], "checkpoints", FULL, ["checkpoints/", "No space left on device"]),
        (["stages.tune"], "checkpoints", FULL, ["checkpoints/", "No space left on device"]),
        ([f"stages.train.{MODEL}"], "dvclive", READ_ONLY, ["dvclive", "Read-only file system"]),
        (["stages.evaluate", MODEL], "plots", FULL, ["plots/predictions", "No space left on device"]),
        (["stages.report"], "reports", READ_ONLY, ["reports/ranking.md", "Read-only file system"]),
    ],
)
def test_a_disk_that_cannot_be_written_to_is_named_and_costs_nothing(repository, module, folder, mount, said):
    expected = project.outputs(repository)
    (repository / folder).mkdir(exist_ok=True)
    assert_one_line(stage(repository, *module, before=mount.format(folder)), *said)
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
def test_a_training_that_could_not_be_saved_is_saved_without_training_again(repository):
    expected = project.outputs(repository)
    stage(repository, f"stages.train.{MODEL}", before=FULL.format("models"))
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


def test_a_file_damaged_in_dvcs_cache_is_made_anew(repository):
    expected = project.outputs(repository)
    lock = (repository / "dvc.lock").read_text()
    digest = re.search(r"path: data/prepared.npz\n\s+hash: md5\n\s+md5: (\w+)", lock).group(1)
    cached = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.chmod(0o644)
    corrupt(cached)
    (repository / "data/prepared.npz").unlink()
    project.shell(repository, "dvc", "checkout", check=False)
    project.shell(repository, "dvc", "repro")
    assert project.outputs(repository) == expected


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


@pytest.mark.parametrize("module", [f"stages.train.{MODEL}", "stages.tune"])
def test_ctrl_c_ends_with_one_line_and_130_and_training_goes_on_later(repository, module):
    expected = project.outputs(repository)
    running = subprocess.Popen(
        [sys.executable, "-u", "-m", module],
        cwd=repository,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in running.stdout:
        if line.startswith("Epoch 3/"):
            running.send_signal(signal.SIGINT)
            break
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "stopped; `dvc repro` goes on after the last whole epoch"
    assert "Traceback" not in errors
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))
    again = stage(repository, *module.split())
    first = next((line for line in again.stdout.splitlines() if line.startswith("Epoch ")), "none")
    assert first.startswith(("Epoch 3/", "Epoch 4/")) or (module == "stages.tune" and first.startswith("Epoch 1/"))
    assert project.outputs(repository) == expected


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
