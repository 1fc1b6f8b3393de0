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

pytestmark = pytest.mark.slow
TRAIN = f"stages.train.{MODEL}"
STOPPED = "stopped; `dvc repro` continues after the last finished epoch"


@pytest.fixture
def repository(small_run, tmp_path) -> Path:
    """A copy of the finished small run, to be damaged."""
    return Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))


@pytest.fixture
def run(repository, server) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command in the repository. `python` is a fork of the server, `sys.executable` a new interpreter."""

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


@needs_mounts
@pytest.mark.parametrize(
    ("module", "disk", "mount", "parts"),
    [
        pytest.param(["stages.download"], "data", FULL, ["data/raw.npz", NO_SPACE], id="download, full"),
        pytest.param(["stages.download"], "data", READ_ONLY, ["data/raw.npz", NO_WRITING], id="download, read-only"),
        pytest.param(["stages.eda"], "metrics", FULL, ["metrics/eda.json", NO_SPACE], id="eda, metrics full"),
        pytest.param(["stages.eda"], "plots", FULL, ["plots/eda", NO_SPACE], id="eda, plots full"),
        pytest.param(
            ["stages.evaluate", MODEL], "plots/predictions", FULL, ["plots/predictions", NO_SPACE], id="evaluate, full"
        ),
        pytest.param(["stages.report"], "reports", READ_ONLY, ["reports/", NO_WRITING], id="report, read-only"),
    ],
)
def test_a_disk_that_cannot_be_written_to_is_named_and_costs_nothing(repository, run_on, module, disk, mount, parts):
    expected = project.outputs(repository)
    done, before, after = run_on(mount, disk, *module)
    assert_one_line(done, *parts)
    assert before
    assert after == before
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
@pytest.mark.parametrize(
    ("module", "disk", "mount", "parts"),
    [
        pytest.param(TRAIN, "checkpoints", SMALL, ["checkpoints/", NO_SPACE], id="train, full"),
        pytest.param("stages.tune", "checkpoints", SMALL, ["checkpoints/", NO_SPACE], id="tune, full"),
        pytest.param(TRAIN, "live_metrics", READ_ONLY, ["live_metrics", NO_WRITING], id="train, no live metrics"),
    ],
)
def test_a_disk_that_takes_no_state_of_a_training_is_named_and_costs_nothing(
    repository, run_on, module, disk, mount, parts
):
    expected = project.outputs(repository)
    (repository / disk).mkdir()
    done, _, after = run_on(mount, disk, module)
    assert_one_line(done, *parts)
    assert ".partial" not in after
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))


@needs_mounts
def test_a_training_that_could_not_be_saved_costs_nothing_and_is_saved_without_training_again(repository, run, run_on):
    expected = project.outputs(repository)
    trained = []
    for mount, reason in ((FULL, NO_SPACE), (READ_ONLY, NO_WRITING)):
        failed, before, after = run_on(mount, "models", TRAIN)
        assert_one_line(failed, f"models/{MODEL}.keras", reason)
        assert before
        assert after == before
        assert project.outputs(repository) == expected
        assert not list(repository.rglob("*.partial"))
        trained.append(project.epochs(failed.stdout))
    again = run("python", "-m", TRAIN)
    assert again.returncode == 0
    assert trained[0]
    assert (trained[1], project.epochs(again.stdout)) == ([], [])
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


@pytest.mark.parametrize(
    ("damage", "path", "module"),
    [
        pytest.param(damage, path, module, id=f"{damage.__name__} {path}")
        for damage, path, module in [
            (truncate, "data/raw.npz", ["stages.eda"]),
            (corrupt, "data/raw.npz", ["stages.prepare"]),
            (truncate, "data/prepared.npz", [TRAIN]),
            (corrupt, "data/prepared.npz", ["stages.tune"]),
            (empty, "data/test.npz", ["stages.evaluate", MODEL]),
            (corrupt, "data/test.npz", ["stages.best"]),
            (truncate, f"models/{MODEL}.keras", ["stages.evaluate", MODEL]),
            (corrupt, f"models/{MODEL}.keras", ["stages.evaluate", MODEL]),
            (empty, f"models/{MODEL}.keras", ["stages.evaluate", MODEL]),
            (truncate, f"metrics/images/{MODEL}.csv", ["stages.report"]),
            (corrupt, f"metrics/images/{MODEL}.csv", ["stages.report"]),
            (remove, f"metrics/images/{MODEL}.csv", ["stages.report"]),
            (truncate, f"metrics/validation/{MODEL}.json", ["stages.tune"]),
            (strip, f"metrics/validation/{MODEL}.json", ["stages.tune"]),
            (empty, f"metrics/test/{MODEL}.json", ["stages.report"]),
            (truncate, "metrics/tune.json", ["stages.best"]),
            (strip, "metrics/tune.json", ["stages.report"]),
            (strip, "metrics/validation/best.json", ["stages.report"]),
            (strip, "metrics/eda.json", ["stages.report"]),
            (remove, "metrics/trials.csv", ["stages.report"]),
            (empty, "metrics/trials.csv", ["stages.report"]),
        ]
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


def damage_cache(repository: Path, run: Callable, path: str, mode: int) -> Path:
    """Corrupt DVC's copy of an output, take the output away and let DVC bring it back; the path of the copy."""
    (digest,) = (
        out["md5"] for stage in project.lock(repository).values() for out in stage["outs"] if out["path"] == path
    )
    cached = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    assert cached.stat().st_mode & 0o777 == 0o444
    cached.chmod(0o644)
    corrupt(cached)
    cached.chmod(mode)
    (repository / path).unlink()
    run("dvc", "checkout", path, check=True)
    assert (repository / path).read_bytes() == cached.read_bytes()
    return cached


def test_a_file_damaged_in_dvcs_cache_is_made_anew_once_its_copy_there_is_deleted(repository, run):
    expected = project.outputs(repository)
    path = "data/prepared.npz"
    cached = damage_cache(repository, run, path, 0o444)
    assert_one_line(run("python", "-m", TRAIN), path, "dvc repro")
    # DVC never checks a copy that nobody may write to, and puts it even in the place of the file that the stage made.
    assert "up to date" in run("dvc", "status", "dvc.yaml", check=True).stdout
    run("dvc", "repro", "--force", "--single-item", "prepare", check=True)
    assert project.outputs(repository) != expected
    cached.unlink()
    (repository / path).unlink()
    run("dvc", "repro", check=True)
    assert project.outputs(repository) == expected


def test_a_file_damaged_in_a_cache_that_may_be_written_to_is_made_anew_by_force(repository, run):
    expected = project.outputs(repository)
    damage_cache(repository, run, "data/prepared.npz", 0o644)
    assert_one_line(run("python", "-m", TRAIN), "data/prepared.npz", "dvc repro")
    run("dvc", "repro", "--force", "--single-item", "prepare", check=True)
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


def test_a_download_that_fails_leaves_the_last_data_a_checkout_away(repository, run):
    expected = project.outputs(repository)
    params = repository / "params.yaml"
    before = params.read_text()
    params.write_text(
        before.replace("source: synthetic", "source: npz")
        .replace("path: null", "path: http://127.0.0.1:9/none.npz")
        .replace("sha256: null", f"sha256: {'a' * 64}")
    )
    failed = run("dvc", "repro", KERAS_HOME=str(repository / "keras"))
    assert failed.returncode != 0
    assert "error: params.yaml: data.path http://127.0.0.1:9/none.npz cannot be downloaded" in failed.stderr
    assert "Traceback" not in failed.stderr
    params.write_text(before)
    run("dvc", "checkout", check=True)
    assert project.outputs(repository) == expected


@pytest.fixture
def prepared(prepared_run, tmp_path) -> Path:
    """A clone of the small run's repository whose data are prepared and whose models are yet to be trained."""
    return Path(shutil.copytree(prepared_run, tmp_path / "clone", symlinks=True))


def interrupt(folder: Path, *command: str, at: str, nth: int = 1) -> tuple[int, str, str]:
    """Press Ctrl-C at the nth line that starts with `at`: SIGINT to the command and all its children, as a terminal
    sends it. Return the exit status, and what was printed on stdout and stderr."""
    return run_and(lambda running: os.killpg(running.pid, signal.SIGINT), folder, *command, at=at, nth=nth)


def run_and(
    act: Callable[[subprocess.Popen], None], folder: Path, *command: str, at: str, nth: int = 1, **environment: str
) -> tuple[int, str, str]:
    """Run a command and do something at the nth line that starts with `at`. Return the exit status, and what the
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
            printed, seen = "", 0
            for line in running.stdout:
                printed += line
                if line.startswith(at):
                    seen += 1
                    if seen == nth:
                        act(running)
            status = running.wait(60)
        finally:  # also where the test itself is stopped
            with contextlib.suppress(ProcessLookupError):  # of no process that is left
                os.killpg(running.pid, signal.SIGKILL)
        assert seen >= nth, printed
        errors.seek(0)
        return status, printed, errors.read()


@pytest.mark.parametrize(
    ("name", "module", "nth"),
    [pytest.param(f"train@{MODEL}", TRAIN, 1, id="train"), pytest.param("tune", "stages.tune", 2, id="tune")],
)
def test_ctrl_c_ends_with_one_line_and_130_and_training_goes_on_later(repository, run, small_run, name, module, nth):
    expected = project.outputs(repository)
    needed = [epoch for epoch in project.epochs(small_run[1]) if epoch.startswith(f"{name} ")]
    status, printed, errors = interrupt(repository, sys.executable, "-m", module, at="epoch 2/", nth=nth)
    assert status == 130
    assert errors.splitlines() == [STOPPED]
    assert project.outputs(repository) == expected
    assert not list(repository.rglob("*.partial"))
    again = run("python", "-m", module)
    assert again.returncode == 0
    before, after = (project.epochs(text, name) for text in (printed, again.stdout))
    assert 2 <= len(before) < len(needed)
    project.assert_trained_once(needed, [before, after])
    assert project.outputs(repository) == expected


def test_ctrl_c_during_dvc_repro_shows_the_stages_line_and_the_next_dvc_repro_goes_on(prepared, small_run, server):
    name, (finished, printed_by_all) = f"train@{MODEL}", small_run
    status, printed, errors = interrupt(prepared, "dvc", "repro", name, at="epoch 2/")
    assert status != 0
    assert "Traceback" not in printed + errors
    assert STOPPED in errors.splitlines()
    again = project.shell(prepared, "dvc", "repro", name, **server.environment)
    assert project.lock(prepared)[name] == project.lock(finished)[name]
    needed = [epoch for epoch in project.epochs(printed_by_all) if epoch.startswith(f"{name} ")]
    project.assert_trained_once(needed, [project.epochs(printed), project.epochs(again.stdout)])


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        pytest.param({"KERAS_MAX_EPOCHS": "1"}, "KERAS_MAX_EPOCHS is set and would cut training short", id="epochs"),
        pytest.param(
            {"KERAS_MAX_STEPS_PER_EPOCH": "1"},
            "KERAS_MAX_STEPS_PER_EPOCH is set and would cut training short",
            id="steps",
        ),
        pytest.param(
            {"KERAS_BACKEND": "theano"}, "KERAS_BACKEND is 'theano'; allowed: tensorflow", id="no backend of Keras"
        ),
        pytest.param({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND is 'jax'; allowed: tensorflow", id="another backend"),
        pytest.param({"KERAS_BACKEND": ""}, "KERAS_BACKEND is ''; allowed: tensorflow", id="an empty backend"),
    ],
)
def test_an_unfit_environment_of_keras_is_named(repository, run, environment, part):
    assert_one_line(run(sys.executable, "-m", TRAIN, **environment), part)


def test_a_training_ends_with_the_dvc_that_runs_it_and_the_next_dvc_repro_goes_on(prepared, small_run, server):
    name, (finished, printed_by_all) = f"train@{MODEL}", small_run
    status, printed, errors = run_and(lambda dvc: dvc.terminate(), prepared, "dvc", "repro", name, at="epoch 2/")
    assert status == -signal.SIGTERM
    assert errors.splitlines() == ["error: DVC was ended while it ran this stage; `dvc repro` goes on with it"]
    again = project.shell(prepared, "dvc", "repro", name, **server.environment)
    assert project.lock(prepared)[name] == project.lock(finished)[name]
    needed = [epoch for epoch in project.epochs(printed_by_all) if epoch.startswith(f"{name} ")]
    project.assert_trained_once(needed, [project.epochs(printed), project.epochs(again.stdout)])


def test_a_second_training_beside_dvc_repro_is_refused_in_one_line(prepared, server):
    beside = []

    def train(_) -> None:
        beside.append(project.shell(prepared, "python", "-m", TRAIN, check=False, **server.environment))

    status, _, errors = run_and(train, prepared, "dvc", "repro", f"train@{MODEL}", at="epoch 1/", **server.environment)
    assert (status, errors) == (0, "")
    assert_one_line(beside[0], f"checkpoints/{MODEL}: process ", f" trains {MODEL} in this folder; wait for it, or end")


EDITS = {
    "code": ("study/models/cnn/build.py", lambda text: f"{text}# edited\n"),
    "params": ("params.yaml", lambda text: text.replace("    dropout: ", "    dropout: 0.1 # ")),
    "data": ("data/prepared.npz", lambda text: text + "edited"),
}


@pytest.mark.parametrize(("path", "edit"), EDITS.values(), ids=EDITS)
def test_what_is_edited_during_a_training_is_not_recorded_as_what_made_the_model(
    prepared, small_run, server, path, edit
):
    name = f"train@{MODEL}"
    before = (prepared / path).read_bytes()

    def change(_) -> None:
        after = edit(before.decode("latin-1")).encode("latin-1")
        assert after != before
        (prepared / path).write_bytes(after)

    status, printed, errors = run_and(change, prepared, "dvc", "repro", name, at="epoch 1/", **server.environment)
    assert status != 0
    assert f"error: {path} changed while this stage ran; run `dvc repro` again" in errors.splitlines()
    assert "Traceback" not in printed + errors
    assert name not in project.lock(prepared)
    assert not (prepared / f"models/{MODEL}.keras").exists()
    (prepared / path).write_bytes(before)
    again = project.shell(prepared, "dvc", "repro", name, **server.environment)
    assert project.epochs(again.stdout) == []  # what made the checkpoint is back
    assert project.lock(prepared)[name] == project.lock(small_run[0])[name]


def test_what_a_training_does_not_use_may_be_edited_meanwhile(prepared, server):
    def change(_) -> None:
        params = prepared / "params.yaml"
        params.write_text(params.read_text().replace("round_size: 2", "round_size: 1  # edited"))
        (prepared / "study/report/words.py").write_text("edited")

    status, _, errors = run_and(change, prepared, "dvc", "repro", f"train@{MODEL}", at="epoch 1/", **server.environment)
    assert (status, errors) == (0, "")


def test_without_git_a_stage_still_trains(repository, run):
    expected = project.outputs(repository)
    shutil.rmtree(repository / ".git")
    done = run("python", "-m", TRAIN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert project.outputs(repository) == expected


def test_without_dvc_the_command_says_so_in_one_line(repository, run):
    shutil.rmtree(repository / ".dvc")
    done = run("dvc", "repro")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("ERROR: you are not inside of a DVC repository")
    assert "Traceback" not in done.stderr


def test_without_params_a_stage_names_the_file(repository, run):
    (repository / "params.yaml").unlink()
    assert_one_line(run("python", "-m", "stages.prepare"), "params.yaml: is missing from this folder")


def test_evaluate_without_a_name_says_how_to_call_it(run):
    assert_one_line(run("python", "-m", "stages.evaluate"), "python -m stages.evaluate cnn2")
