"""Killed at any instant, `dvc repro` goes on from the last whole epoch or trial and ends with the same bytes.

KILLS and SEED in the environment set how many kills there are and when: KILLS=200 python -m pytest tests/test_kill.py
"""

import os
import random
import re
import signal
import subprocess
from pathlib import Path

import project
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))


def epochs(said: str) -> int:
    return len(re.findall(r"^Epoch \d+/\d+", said, flags=re.MULTILINE))


def run_until_killed(folder: Path, seconds: float) -> tuple[int, str]:
    """`dvc repro` and all its children, killed after so many seconds; the exit status and what was said."""
    with (folder.parent / "said.txt").open("w+") as said:
        running = subprocess.Popen(
            ["dvc", "repro"],
            cwd=folder,
            env=project.environment(PYTHONHASHSEED="2", LC_ALL="C.UTF-8", TZ="Asia/Tokyo", PYTHONUNBUFFERED="1"),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = running.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            status = running.wait()
        said.seek(0)
        return status, said.read()


def test_a_run_killed_at_random_instants_ends_with_the_same_bytes(small_run, tmp_path):
    folder, said = small_run
    expected, needed = project.outputs(folder), epochs(said)
    clone = project.copy(tmp_path / "another" / "path", project.small)
    draw = random.Random(SEED)
    trained = kills = kills_in_training = 0
    status = None
    print(f"SEED={SEED} KILLS={KILLS}")
    while status != 0:
        status, said = run_until_killed(clone, draw.uniform(0, 14) if kills < KILLS else 400)
        trained += epochs(said)
        if status != 0:
            assert status == -signal.SIGKILL, said
            kills += 1
            kills_in_training += epochs(said) > 0
            found = project.outputs(clone)
            found.pop("dvc.lock", None)
            broken = [name for name, digest in found.items() if expected.get(name) != digest]
            assert not broken, f"SEED={SEED}, kill {kills}"
        elif kills < KILLS:  # done before its time: once more from the start
            status = None
            project.shell(clone, "git", "clean", "-fdxq", "--exclude=.venv")
            trained = kills_in_training = 0
    assert project.outputs(clone) == expected
    assert trained <= needed + kills_in_training, "each kill may cost the epoch that it interrupts, and no other"
    assert not list(clone.rglob("*.partial"))
    assert not (clone / "checkpoints").exists()
