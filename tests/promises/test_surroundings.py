"""Stages give the same bytes and print no other line, whatever the user's settings, home, streams and shell."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import project
import pytest

pytestmark = pytest.mark.slow
KERAS_JSON = '{"floatx": "float64", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}'
MATPLOTLIBRC = "font.size: 30\nno setting\nbackend: qtagg\n"
NO_FOLDER = "/proc/none"  # where nobody can make one
SHADOWING = ["json.py", "keras.py", "numpy.py", "random.py", "typing.py"]


@pytest.fixture
def home(tmp_path) -> Path:
    """A home with settings of Keras and matplotlib, all of them unlike the project's."""
    for name, content in {".keras/keras.json": KERAS_JSON, ".config/matplotlib/matplotlibrc": MATPLOTLIBRC}.items():
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return tmp_path / "home"


@pytest.fixture
def run(small_run, tmp_path, home) -> Callable[..., subprocess.CompletedProcess]:
    """Run a stage in a new interpreter, as `shell` has it, in a copy of the small run; its outputs stay the same."""
    repository = Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))
    expected = project.outputs(repository)

    def run(stage: str, shell: str = '"$@"', **variables: str) -> subprocess.CompletedProcess:
        for name in SHADOWING:
            (repository / name).write_text("raise LookupError(__file__)\n")
        outs = project.paths(
            project.lock(repository)[stage.removeprefix("stages.").replace("train.", "train@")], "outs"
        )
        for out in outs:
            path = repository / out
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        command = ["sh", "-c", shell, "sh", sys.executable, "-m", stage]
        done = project.shell(repository, *command, check=False, **{"HOME": str(home)} | variables)
        if done.returncode == 0:
            assert project.outputs(repository) == expected
        return done

    return run


SETTINGS = {
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "7",
    "COLUMNS": "9",
    **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
}
SURROUNDINGS = {
    "settings of Keras, matplotlib, Python and the locale, and a strict umask": {
        "shell": 'umask 077; "$@"',
        "PYTHONOPTIMIZE": "2",  # slow with TensorFlow, whose bytecode is then compiled anew
        **SETTINGS,
    },
    "no home, no other folder for a file, and closed streams": {
        "shell": 'unset HOME; "$@" <&- >&-',
        **dict.fromkeys(["MPLCONFIGDIR", "TMPDIR"], NO_FOLDER),
    },
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_a_stage_gives_the_same_bytes_and_writes_nothing_to_stderr(run, surroundings):
    done = run("stages.eda", **surroundings)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_training_gives_the_same_bytes_and_writes_nothing_to_stderr_also_without_git(run):
    done = run(f"stages.train.{project.SMALL_MODEL}", 'rm -r .git; "$@"', MPLCONFIGDIR=NO_FOLDER, **SETTINGS)
    assert (done.returncode, done.stderr) == (0, "")


ENDS = {"a full disk": (">/dev/full", "No space left on device"), "no reader": ("| true; exit 1", "Broken pipe")}


@pytest.mark.parametrize(("stdout", "reason"), ENDS.values(), ids=ENDS)
def test_a_stage_whose_lines_cannot_be_written_ends_with_one_that_says_so(run, stdout, reason):
    done = run("stages.prepare", f'"$@" {stdout}')
    assert done.stderr == f"error: input or output: {reason}; mend that and run it again\n"
