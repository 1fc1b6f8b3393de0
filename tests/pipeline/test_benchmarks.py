"""Benchmarks that train run to their end on few images and leave nothing behind."""

import sys

import project
import pytest

pytestmark = pytest.mark.long
BENCHMARKS = {
    "bench": (["--images=200", "--epochs=2", "--notebook-epochs=2", "--target=0"], 3),
    "scaling": (["--trials=2", "--draws=1"], 2 + 4 + 2 + 6),
    "aa": (["--draws=20"], 3),
}


def few(params: dict) -> dict:
    params["data"]["synthetic"] |= {"train_images": 300, "test_images": 60, "duplicates": 4, "leaks": 3}
    return params


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_that_trains_prints_its_tables(name, tmp_path):
    options, rows = BENCHMARKS[name]
    copy = project.copy(tmp_path / "copy", few)
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    printed = project.shell(copy, *command, TMPDIR=str(tmp_path / "tmp")).stdout
    assert sum(line.startswith("|") for line in printed.splitlines()) == rows + (name == "bench")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert project.shell(copy, "git", "status", "--porcelain").stdout == ""
