"""Killed at any instant, `dvc repro` goes on from the last whole epoch or trial and ends with the same bytes.

KILLS and SEED in the environment set how many kills come at random instants, and at which; two more come in a training
and in the search, wherever those fall: KILLS=200 python -m pytest tests/test_kill.py
"""

import collections
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import project
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
SECONDS = 400  # no run takes so long
# What is said when the kills that do not come at random come: a model's second epoch runs, the search's second trial.
MOMENTS = [r"(?s)Running stage 'train@.*^Epoch \d+/.*^Epoch \d+/", r"^trial 1 of "]
# DVC writes these in place; what it says of one whose writing a kill has cut short. README says to delete it.
CUT_BY_DVC = {
    ".dvc/tmp/rwlock": r"Unable to read RWLock-file '\.dvc/tmp/rwlock'",
    "dvc.lock": r"'\./dvc\.lock' validation failed|unable to read: 'dvc\.lock'",
}


def epochs(said: str) -> int:
    return len(re.findall(r"^Epoch \d+/\d+", said, flags=re.MULTILINE))


def cut_short(said: str) -> bool:
    """Did the run end within an epoch? Keras says how an epoch went once its state is saved; of the epoch in which a
    trial is pruned it says nothing, but the next trial or stage does."""
    *_, last = re.split(r"^Epoch \d+/\d+", said, flags=re.MULTILINE)
    return epochs(said) > 0 and not re.search(r"^(\d+/\d+ - |trial |Running stage )", last, flags=re.MULTILINE)


def stage(said: str) -> str:
    """The stage that ran last; none, where DVC had not come to one."""
    *_, last = ["none", *re.findall(r"^Running stage '(.+)':", said, flags=re.MULTILINE)]
    return last


def delete_what_dvc_cut(folder: Path, said: str) -> bool:
    """Delete the file of DVC's own that `said` calls broken; False if it names none."""
    broken = [name for name, words in CUT_BY_DVC.items() if re.search(words, said)]
    for name in broken:
        (folder / name).unlink()
    return bool(broken)


def run_until_killed(folder: Path, seconds: float, moment: str = "") -> tuple[int, str]:
    """`dvc repro` and all its children, killed after so many seconds, or as soon as what was said holds the pattern
    `moment`; the exit status and what was said."""
    path = folder.parent / "said.txt"
    with path.open("w") as said:
        running = subprocess.Popen(
            ["dvc", "repro"],
            cwd=folder,
            env=project.environment(PYTHONHASHSEED="2", LC_ALL="C.UTF-8", TZ="Asia/Tokyo", PYTHONUNBUFFERED="1"),
            stdout=said,
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


def test_a_run_killed_at_any_instant_ends_with_the_same_bytes(small_run, tmp_path):
    folder, said = small_run
    expected, needed = project.outputs(folder), epochs(said)
    clone = project.copy(tmp_path / "another" / "path", project.small)
    draw = random.Random(SEED)
    killed: list[str] = []
    trained = cuts = 0
    status = None
    print(f"SEED={SEED} KILLS={KILLS}")
    while status != 0 or len(killed) < len(MOMENTS) + KILLS:
        if status == 0:  # done before the last kill: once more from the start
            project.shell(clone, "git", "clean", "-fdxq", "--exclude=.venv")
            trained = cuts = 0
        if len(killed) < len(MOMENTS):
            status, said = run_until_killed(clone, SECONDS, MOMENTS[len(killed)])
            assert status != 0, f"no line is like {MOMENTS[len(killed)]}:\n{said}"
        else:
            at_random = len(killed) < len(MOMENTS) + KILLS
            status, said = run_until_killed(clone, draw.uniform(0, 14) if at_random else SECONDS)
        trained += epochs(said)
        where = f"SEED={SEED}, kill {len(killed)}"
        if status > 0 and delete_what_dvc_cut(clone, said):
            continue
        if status != 0:
            assert status == -signal.SIGKILL, said
            killed.append(stage(said))
            cuts += cut_short(said)
            found = project.outputs(clone)
            found.pop("dvc.lock", None)
            broken = [name for name, digest in found.items() if expected.get(name) != digest]
            assert not broken, where
            continue
        assert project.outputs(clone) == expected, where
        assert needed <= trained <= needed + cuts, (
            f"{where}: a kill may cost the epoch that it cuts short, and no other"
        )
        assert not list(clone.rglob("*.partial"))
        assert not (clone / "checkpoints").exists()
    print(collections.Counter(killed))
    assert killed[0].startswith("train@")
    assert killed[1] == "tune"


@pytest.mark.parametrize("name", CUT_BY_DVC)
def test_a_file_that_dvc_left_cut_is_named_and_can_be_deleted(name, tmp_path):
    clone = project.copy(tmp_path / "clone", project.small)
    project.shell(clone, "dvc", "repro", "download")
    whole = project.outputs(clone)
    (clone / name).write_text("")
    failed = project.shell(clone, "dvc", "repro", "download", check=False)
    assert failed.returncode > 0
    assert delete_what_dvc_cut(clone, failed.stderr)
    project.shell(clone, "dvc", "repro", "download")
    assert project.outputs(clone) == whole
