"""What tests of all folders share: repositories that were run once, for all workers of pytest-xdist."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import forked
import own_files
import project
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell's background jobs ignore Ctrl-C, and so would the stages that the tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """The folder for what one worker builds and all use, by `project.once`."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[forked.Server]:
    """Runs stages in forks of one process, which spares them their imports."""
    with forked.Server(tmp_path_factory.mktemp("forked")) as server:
        yield server


@pytest.fixture(scope="session")
def small_run(shared, server) -> tuple[Path, str]:
    """A repository with `project.small` params, run, committed and left alone; and what `dvc repro` printed."""

    def build(folder: Path) -> None:
        repository = project.copy(folder / "repository", project.small)
        own_files.plant(repository, folder / "outside")
        printed = project.shell(repository, "dvc", "repro", **server.environment).stdout
        (folder / "lost.txt").write_text("\n".join(own_files.lost(repository, folder / "outside")))
        own_files.take_away(repository)
        (folder / "printed.txt").write_text(printed)
        project.commit(repository, "results")

    folder = project.once(shared / "small", build)
    return folder / "repository", (folder / "printed.txt").read_text()


@pytest.fixture(scope="session")
def prepared_run(small_run, shared, server) -> Path:
    """A clone of the small run's repository, left alone, in which `prepare` has run and no model was trained."""

    def build(folder: Path) -> None:
        project.before_the_run(small_run[0], folder / "clone")
        project.shell(folder / "clone", "dvc", "repro", "prepare", **server.environment)

    return project.once(shared / "prepared", build) / "clone"


@pytest.fixture(scope="session")
def tiny_run(shared, server) -> tuple[Path, Path]:
    """A repository with `project.tiny` params, run, committed and left alone; and the folder where
    promises/audit wrote down what its stages opened."""

    def build(folder: Path) -> None:
        repository, opened = project.copy(folder / "repository", project.tiny), folder / "opened"
        opened.mkdir()
        audit = {"AUDIT": str(opened), "PYTHONPATH": str(project.ROOT / "tests/promises/audit")}
        project.shell(repository, "dvc", "repro", **audit, **server.environment)
        project.commit(repository, "results")

    folder = project.once(shared / "tiny", build)
    return folder / "repository", folder / "opened"


@pytest.fixture(scope="session")
def recorded_run(shared, server) -> Path:
    """A repository with the committed params, left alone, whose dvc.lock has all stages done; each of their outputs
    holds nothing but its name."""

    def build(folder: Path) -> None:
        project.copy(folder, lambda params: params)
        status = json.loads(project.shell(folder, "dvc", "status", "dvc.yaml", "--json", **server.environment).stdout)
        for out in {out for changes in status.values() for out in project.changed(changes, "outs")}:
            path = folder / out if Path(out).suffix else folder / out / "figure.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(out)
        project.shell(folder, "dvc", "commit", "--force", "dvc.yaml", **server.environment)

    return project.once(shared / "recorded", build)
