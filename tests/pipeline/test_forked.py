"""A fork of tests/forked does what a new interpreter does."""

import re
import shutil
import subprocess
import sys
import textwrap

import project
import pytest

pytestmark = pytest.mark.slow
PROGRAMS = {
    "a text for sys.exit": "import sys; sys.exit('gone')",
    "a number for sys.exit": "import sys; sys.exit(3)",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "what is buffered, and what waits for the end": """
        import atexit
        atexit.register(print, "at the end")
        print("buffered")
    """,
    "where it runs, and with what": """
        import locale, os, sys, time
        names = ("PATH", "HOME", "OWN", "PYTHONHASHSEED", "TZ", "LC_ALL", "KERAS_BACKEND")
        print(sys.argv, os.getcwd(), sys.path[0], __name__, __spec__.name, [os.environ.get(name) for name in names])
        print(hash("text"), time.tzname, locale.getlocale(), sys.stdout.encoding, sys.stdout.line_buffering)
        print(sys.stderr.errors, sys.stdout.isatty(), sys.stdin.isatty())
    """,
}


def ended(done: subprocess.CompletedProcess) -> tuple[int, str, str]:
    """Status, stdout and stderr, without the estimates of time."""
    return done.returncode, re.sub(r"(at most|about) .* left", "", done.stdout), done.stderr


@pytest.mark.parametrize(
    ("module", "output"),
    [
        pytest.param(
            [f"stages.train.{project.SMALL_MODEL}"],
            f"models/{project.SMALL_MODEL}.keras",
            id="train",
            marks=pytest.mark.long,
        ),
        pytest.param(["stages.evaluate"], "metrics/test/none.json", id="a fault"),
    ],
)
def test_a_stage_leaves_the_same_bytes_and_prints_the_same(module, output, small_run, server, tmp_path):
    runs = []
    for python in (str(server.python), sys.executable):
        folder = shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True)
        (folder / output).unlink(missing_ok=True)
        done = project.shell(folder, python, "-m", *module, check=False, **server.environment)
        runs.append((*ended(done), project.outputs(folder)))
        shutil.rmtree(folder)
    assert runs[0] == runs[1]


def test_dvc_prints_the_same_and_ends_the_same(small_run, server, tmp_path):
    folder = shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True)
    fork, interpreter = (
        project.shell(folder, "dvc", "status", f"train@{project.SMALL_MODEL}", "none", check=False, **environment)
        for environment in (server.environment, {})
    )
    assert ended(fork) == ended(interpreter)
    assert fork.returncode > 0


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_ends_the_same(program, server, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    fork, interpreter = (
        project.shell(tmp_path, python, "-m", "program", "word", check=False, **server.environment, OWN="1")
        for python in (str(server.python), sys.executable)
    )
    assert ended(fork) == ended(interpreter)


def test_a_fork_is_killed_when_its_stand_in_is(server, tmp_path):
    (tmp_path / "program.py").write_text("import time; print('started', flush=True); time.sleep(60); print('goes on')")
    command = [server.python, "-m", "program"]
    stand_in = subprocess.Popen(command, cwd=tmp_path, env=project.environment(), stdout=subprocess.PIPE, text=True)
    assert stand_in.stdout.readline() == "started\n"
    stand_in.kill()
    assert stand_in.stdout.read() == ""  # which ends with the last process that can write to it
    stand_in.wait()
