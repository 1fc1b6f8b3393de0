"""A fork of tests/forked does what a new interpreter does; promises/test_kills.py compares the bytes of both."""

import subprocess
import sys
import textwrap

import project
import pytest

pytestmark = pytest.mark.slow
PROGRAM = """
    import atexit, locale, os, sys, time
    atexit.register(print, "at the end")
    names = ("PATH", "HOME", "OWN", "PYTHONHASHSEED", "TZ", "LC_ALL", "KERAS_BACKEND")
    print(sys.argv, os.getcwd(), sys.path[0], __name__, __spec__.name, [os.environ.get(name) for name in names])
    print(hash("text"), time.tzname, locale.getlocale(), sys.stdout.encoding, sys.stdout.line_buffering)
    print(sys.stderr.errors, sys.stdout.isatty(), sys.stdin.isatty())
    sys.exit("gone")
"""


def test_a_program_runs_and_ends_the_same(server, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    fork, interpreter = (
        project.shell(tmp_path, python, "-m", "program", "word", check=False, **server.environment, OWN="1")
        for python in (str(server.python), sys.executable)
    )
    assert (fork.returncode, fork.stdout, fork.stderr) == (1, interpreter.stdout, "gone\n")


def test_a_fork_is_killed_when_its_stand_in_is(server, tmp_path):
    (tmp_path / "program.py").write_text("import time; print('started', flush=True); time.sleep(60); print('goes on')")
    command = [server.python, "-m", "program"]
    stand_in = subprocess.Popen(command, cwd=tmp_path, env=project.environment(), stdout=subprocess.PIPE, text=True)
    assert stand_in.stdout.readline() == "started\n"
    stand_in.kill()
    assert stand_in.stdout.read() == ""  # which ends with the last process that can write to it
    stand_in.wait()
