"""Killed at any instant, `dvc repro` goes on from the last whole epoch or trial and ends with the same bytes.

Two kills come in a training run and in the search, wherever those fall; the long test kills at random instants as well.
KILLS in the environment sets how many there are, SEED at which instants: KILLS=200 python -m pytest -m long -k killed
"""

import collections
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pace
import project
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
MANY = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
# Seconds on an idle machine: from the start of a run to its random kill, and of a whole run.
LATEST, LONGEST = 14, 500
# What has been printed when the other kills come: a model's second epoch runs, the search's second trial.
MOMENTS = [r"(?s)Running stage 'train@.*^epoch 1/", r"^trial 1 of "]
# An interpreter reads these as it starts; `project.small_run` runs under others.
WORLD = {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}
# DVC writes these in place; what it says of one whose writing a kill has cut short. README says to delete it.
CUT_BY_DVC = {
    ".dvc/tmp/rwlock": r"Unable to read RWLock-file '\.dvc/tmp/rwlock'",
    "dvc.lock": r"'\./dvc\.lock' validation failed|unable to read: 'dvc\.lock'",
}


def last_stage(printed: str) -> str:
    """The stage that ran last; none, where DVC had not come to one."""
    *_, last = ["none", *re.findall(r"^Running stage '(.+)':", printed, flags=re.MULTILINE)]
    return last


def delete_what_dvc_cut(folder: Path, printed: str) -> bool:
    """Delete the file of DVC's own that `printed` calls broken; False if it names none."""
    broken = [name for name, words in CUT_BY_DVC.items() if re.search(words, printed)]
    for name in broken:
        (folder / name).unlink()
    return bool(broken)


def run_until_killed(folder: Path, seconds: float, moment: str = "") -> tuple[int, str]:
    """`dvc repro` and all its children, killed after so many seconds, or as soon as what was printed holds the pattern
    `moment`; the exit status and what was printed."""
    path = folder.parent / "printed.txt"
    with path.open("w") as printed:
        running = subprocess.Popen(
            ["dvc", "repro"],
            cwd=folder,
            env=project.environment(**WORLD, PYTHONUNBUFFERED="1"),
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + seconds
            while running.poll() is None and time.monotonic() < end:
                if moment and re.search(moment, path.read_text(), flags=re.MULTILINE):
                    break
                time.sleep(0.02)
        finally:  # also where the test itself is stopped
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        status = running.wait()
    return status, path.read_text()


@pytest.mark.parametrize("kills", [pytest.param(0, id="two"), pytest.param(MANY, id="many", marks=pytest.mark.long)])
def test_a_run_killed_at_any_instant_ends_with_the_same_bytes(kills, small_run, tmp_path):
    expected, needed = project.outputs(small_run[0]), project.epochs(small_run[1])
    clone = project.before_the_run(small_run[0], tmp_path / "another" / "path")
    draw, latest, longest = random.Random(SEED), pace.seconds(LATEST), pace.seconds(LONGEST)
    killed: list[str] = []
    runs: list[list[str]] = []
    status = None
    print(f"SEED={SEED} KILLS={kills}")
    while status != 0 or len(killed) < len(MOMENTS) + kills:
        if status == 0:  # done before the last kill: once more from the start
            project.shell(clone, "git", "clean", "-fdxq")
            runs = []
        if len(killed) < len(MOMENTS):
            status, printed = run_until_killed(clone, longest, MOMENTS[len(killed)])
            assert status != 0, f"nothing printed is like {MOMENTS[len(killed)]}:\n{printed}"
        else:
            at_random = len(killed) < len(MOMENTS) + kills
            status, printed = run_until_killed(clone, draw.uniform(0, latest) if at_random else longest)
        where = f"SEED={SEED}, kill {len(killed)}"
        if status > 0 and delete_what_dvc_cut(clone, printed):
            continue
        runs.append(project.epochs(printed))
        if status != 0:
            assert status == -signal.SIGKILL, printed
            killed.append(last_stage(printed))
            outputs = project.outputs(clone)
            outputs.pop("dvc.lock", None)
            assert [name for name, digest in outputs.items() if expected.get(name) != digest] == [], where
            continue
        assert project.outputs(clone) == expected, where
        project.assert_trained_once(needed, runs)
        assert not list(clone.rglob("*.partial"))
        assert [path.name for path in (clone / "checkpoints").iterdir()] == ["times.jsonl"]
    print(collections.Counter(killed))
    assert killed[0].startswith("train@")
    assert killed[1] == "tune"


@pytest.mark.parametrize("name", CUT_BY_DVC)
def test_a_file_that_dvc_left_cut_is_named_and_can_be_deleted(name, prepared_run, server, tmp_path):
    clone = Path(shutil.copytree(prepared_run, tmp_path / "clone", symlinks=True))
    whole = project.outputs(clone)
    (clone / name).write_text("")
    failed = project.shell(clone, "dvc", "repro", "prepare", check=False, **server.environment)
    assert failed.returncode > 0
    assert delete_what_dvc_cut(clone, failed.stderr)
    project.shell(clone, "dvc", "repro", "prepare", **server.environment)
    assert project.outputs(clone) == whole
