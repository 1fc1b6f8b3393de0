"""The pipeline deletes nothing that a user keeps beside its outputs. (Its own scratch folders have unit tests.)"""

import os
import shutil

import project
import pytest


@pytest.mark.slow
def test_what_lies_beside_outputs_stays_when_all_stages_run(small_run):
    assert (small_run[0].parent / "lost.txt").read_text() == ""


ENVIRONMENTS = {
    "an environment of the user": ([], 2),
    "one that make was interrupted in": ([".made"], 0),
    "one that make made": ([".ready"], 0),
}


@pytest.mark.parametrize(("markers", "code"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_make_empties_only_an_environment_that_it_made(markers, code, tmp_path):
    shutil.copy(project.ROOT / "Makefile", tmp_path)
    note = tmp_path / ".venv/notes.txt"
    note.parent.mkdir()
    note.write_text("own")
    for name in markers:
        (note.parent / name).touch()
        os.utime(note.parent / name, (0, 0))  # older than the lock
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / "python"  # in place of one that makes environments, and of what it makes
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || { mkdir -p .venv/bin && cp python .venv/bin/python; }\n')
    python.chmod(0o755)
    done = project.shell(tmp_path, "make", "setup", f"PYTHON={python}", check=False)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.splitlines()[0] == "error: .venv was not made by make, which would empty it; move it"
        assert list(note.parent.iterdir()) == [note]
    else:
        assert {path.name for path in note.parent.iterdir()} == {"notes.txt", "bin", ".made", ".ready"}
