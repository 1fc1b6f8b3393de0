"""Benchmarks that train run to their end on few images and leave nothing behind."""

import sys

import project
import pytest

pytestmark = pytest.mark.long
# Options, and lines of the tables that are printed.
BENCHMARKS = {
    "bench": (["--images=200", "--epochs=2", "--notebook-epochs=2", "--target=0", "--bfloat16"], 2 + 3),
    "scaling": (["--trials=2", "--draws=1"], 2 + 4 + 2 + 6),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_that_trains_prints_its_tables(name, tmp_path):
    options, lines = BENCHMARKS[name]
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    printed = project.shell(project.ROOT, *command, TMPDIR=str(tmp_path)).stdout
    assert sum(line.startswith("|") for line in printed.splitlines()) == lines
    assert list(tmp_path.iterdir()) == []
