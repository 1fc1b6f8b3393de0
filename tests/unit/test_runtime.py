"""Every program starts in a checked environment, shows nothing of TensorFlow's start-up, and ends with one line."""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent, indent
from types import SimpleNamespace

import pace
import project
import pytest
from project import ROOT

from study.base import runtime
from study.base.runtime import UserError

pytestmark = pytest.mark.slow
START = "from study.base import runtime; runtime.set_up()\n"
RUN = START + "def main():\n{body}\nruntime.run(main)"


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in the repository."""
    return project.shell(ROOT, sys.executable, "-c", code, check=False, **environment)


def run(body: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the body of a `main`."""
    return python(RUN.format(body=indent(dedent(body), "    ")), **environment)


REFUSED = {
    "another backend": ({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND is 'jax'; allowed: tensorflow, "),
    "a lower precision": (
        {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"},
        "ONEDNN_DEFAULT_FPMATH_MODE is set and would compute less precisely than the param precision says; unset it",
    ),
    "a limit of epochs": ({"KERAS_MAX_EPOCHS": "1"}, "KERAS_MAX_EPOCHS is set and would cut training short; unset it"),
}


@pytest.mark.parametrize(("environment", "message"), REFUSED.values(), ids=REFUSED)
def test_an_environment_that_would_change_results_is_refused_in_one_line(environment, message):
    process = python("import stages", **environment)
    assert process.returncode == 1
    assert process.stderr.startswith(f"error: {message}")
    assert process.stderr.count("\n") == 1


def test_tensorflow_is_the_backend_whatever_keras_json_says(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text('{"backend": "jax"}')
    code = START + "import os; print(os.environ['KERAS_BACKEND'])"
    assert python(code, HOME=str(tmp_path)).stdout == "tensorflow\n"


def test_keras_has_its_own_defaults_whatever_keras_json_says(monkeypatch):
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    runtime.end_imports()
    found = keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()
    assert found == ("float32", 1e-7, "channels_last")


UNFIT_KERAS = {
    "a value": ('{"floatx": "bogus"}', {}, "Invalid `floatx` configuration. "),
    "no mapping": ("[]", {}, "'list' object has no attribute 'get'"),
    "a variable": ("{}", {"KERAS_NNX_ENABLED": "1"}, "To use NNX with the JAX backend, you must install `flax`."),
}


@pytest.mark.parametrize(("content", "variables", "message"), UNFIT_KERAS.values(), ids=UNFIT_KERAS)
def test_settings_that_keras_refuses_are_named_in_one_line(tmp_path, content, variables, message):
    (tmp_path / "keras.json").write_text(content)
    process = python(START + "import keras", KERAS_HOME=str(tmp_path), **variables)
    assert process.returncode == 1
    assert process.stderr.startswith(f"error: {tmp_path}/keras.json or a variable KERAS_…: {message}")
    assert process.stderr.count("\n") == 1


def test_the_end_of_the_imports_restores_stderr():
    code = """
    import os
    from study.base import runtime
    before = os.fstat(2)
    runtime.set_up()
    assert not os.path.samestat(before, os.fstat(2))
    runtime.end_imports()
    print(os.path.samestat(before, os.fstat(2)))
    """
    assert python(dedent(code)).stdout == "True\n"


def test_a_second_set_up_changes_nothing():
    code = """
    import os
    from study.base import runtime
    before = os.fstat(2)
    runtime.set_up()
    runtime.set_up()
    runtime.end_imports()
    print(os.path.samestat(before, os.fstat(2)))
    """
    assert python(dedent(code)).stdout == "True\n"


def test_the_end_of_the_imports_restores_garbage_collection():
    code = START + "import gc; print(gc.isenabled()); runtime.end_imports(); print(gc.isenabled())"
    assert python(code).stdout == "False\nTrue\n"


def test_what_libraries_write_to_stderr_during_imports_is_not_shown():
    code = START + "import os; os.write(2, b'noise'); runtime.end_imports(); os.write(2, b'a message')"
    assert python(code).stderr == "a message"


def test_what_libraries_write_to_stderr_during_late_imports_is_not_shown():
    code = START + "import os; runtime.end_imports(); runtime.begin_imports(); os.write(2, b'noise')"
    assert python(code).stderr == ""


def test_what_keras_can_do_without_is_not_imported_with_it():
    code = START + "import keras, sys; print({'sklearn', 'matplotlib'} & {*sys.modules})"
    assert python(code).stdout == "set()\n"


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("from sklearn.metrics import f1_score; import matplotlib.pyplot, keras", id="before Keras"),
        pytest.param("import keras, matplotlib.pyplot; from sklearn.metrics import f1_score", id="after Keras"),
    ],
)
def test_a_module_of_a_stage_may_import_what_keras_can_do_without(imports):
    assert python(f"import stages; {imports}").returncode == 0


def test_a_message_before_the_end_of_the_imports_stands_before_one_behind_it():
    code = START + "import sys; print('one', file=sys.stderr); runtime.end_imports(); print('two', file=sys.stderr)"
    assert python(code).stderr == "one\ntwo\n"


def test_a_traceback_during_the_imports_is_shown():
    process = python(START + "raise LookupError('why')")
    assert process.returncode == 1
    assert process.stderr.startswith("Traceback (most recent call last):\n")
    assert process.stderr.endswith("\nLookupError: why\n")


def test_what_a_program_says_that_exits_during_its_imports_is_shown():
    process = python(START + "import sys; sys.exit('why')")
    assert (process.returncode, process.stderr) == (1, "why\n")


CLOSED = {"stdin": ("<&-", "one\n", "two\n"), "stdout": (">&-", "", "two\n"), "stderr": ("2>&-", "one\n", "")}


@pytest.mark.parametrize(("closing", "stdout", "stderr"), CLOSED.values(), ids=CLOSED)
def test_a_program_runs_with_a_closed_stream(closing, stdout, stderr):
    code = RUN.format(body="    import sys; print('one'); print('two', file=sys.stderr)")
    process = project.shell(ROOT, "sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, code)
    assert (process.stdout, process.stderr) == (stdout, stderr)


ENDS = {
    "a fault of the user's": ("raise runtime.UserError('seed is -1')", 1, "error: seed is -1\n"),
    "a fault in two lines": ("raise runtime.UserError('seed\\n is -1')", 1, "error: seed is -1\n"),
    "a fault that would clear the screen": (
        r"raise runtime.UserError('seed is \x1b[2J\u202e\u200b1')",
        1,
        "error: seed is \\x1b[2J\\u202e\\u200b1\n",
    ),
    "a fault with a secret": (
        "raise runtime.UserError('https://me:hidden@host/a?key=hidden is none')",
        1,
        "error: https://…@host/a?… is none\n",
    ),
    "a file whose name would clear the screen": (
        r"open('/none/\x1b[2J\nb')",
        1,
        "error: /none/\\x1b[2J b: No such file or directory; mend that and run it again\n",
    ),
    "a file that cannot be read": (
        "open('/none/a.txt')",
        1,
        "error: /none/a.txt: No such file or directory; mend that and run it again\n",
    ),
    "an error of no file": (
        "raise OSError('pipe is broken')",
        1,
        "error: input or output: pipe is broken; mend that and run it again\n",
    ),
    "a lack of memory": (
        "raise MemoryError",
        1,
        "error: -c: out of memory; fewer or smaller images need less\n",
    ),
    "an array too large": (
        "import numpy; numpy.empty(10**15)",
        1,
        "error: -c: out of memory (Unable to allocate 7.11 PiB for an array with shape (1000000000000000,) and data "
        "type float64); fewer or smaller images need less\n",
    ),
    "TensorFlow's lack of memory": (
        "raise type('ResourceExhaustedError', (Exception,), {})",
        1,
        "error: -c: out of memory; fewer or smaller images need less\n",
    ),
    "Ctrl-C": ("raise KeyboardInterrupt", 130, "stopped; `dvc repro` continues after the last finished epoch\n"),
    "no fault": ("pass", 0, ""),
}


@pytest.mark.parametrize(("body", "code", "line"), ENDS.values(), ids=ENDS)
def test_a_program_ends_with_one_line_that_says_why(body, code, line):
    process = run(body)
    assert (process.returncode, process.stderr) == (code, line)


def test_ctrl_c_during_the_imports_ends_with_one_line_too():
    process = python(START + "raise KeyboardInterrupt")
    assert process.returncode == 130
    assert process.stderr == "stopped; `dvc repro` continues after the last finished epoch\n"


def test_a_stage_whose_code_changed_while_it_ran_ends_with_one_line():
    """Also where the edit came after its last output."""
    process = run("from study.base import inputs\ninputs.changed = lambda: 'study/base/files.py'")
    assert process.returncode == 1
    assert process.stderr == "error: study/base/files.py changed while this stage ran; run `dvc repro` again\n"


PROGRAMS = {
    "a command": ("study.__main__", "stopped\n", "this command ran; run it again"),
    "a benchmark": ("benchmarks.cost", "stopped\n", "this command ran; run it again"),
    "a stage": (
        "stages.train.cnn2",
        "stopped; `dvc repro` continues after the last finished epoch\n",
        "this stage ran; run `dvc repro` again",
    ),
}


@pytest.mark.parametrize(("name", "stopped", "changed"), PROGRAMS.values(), ids=PROGRAMS)
def test_the_last_words_of_a_program_fit_what_it_is(monkeypatch, capsys, name, stopped, changed):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name=name))
    monkeypatch.setattr(runtime.inputs, "changed", lambda: "models/best.keras")
    with pytest.raises(UserError, match=f"^models/best.keras changed while {changed}$"):
        runtime.check_inputs()
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit, match="130"):
        runtime._end_in_one_line(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == stopped


# Stands for DVC: runs a command by a shell, and waits.
DVC = "import subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]])"
STAGE = """
from study.base import runtime

def main():
    import os, time
    print(os.getpid(), flush=True)
    time.sleep(60)

runtime.WATCH_SECONDS = 0.05
runtime.set_up()
runtime.run(main)
"""
COMMANDS = {"the shell has become the stage": "exec {}", "the shell waits for the stage": "{}; exit $?"}


@pytest.fixture
def run_by_dvc() -> Iterator[Callable[..., tuple[subprocess.Popen, int]]]:
    """Start a stage by DVC's stand-in; the stand-in, and the number of the stage's process."""
    stages = []

    def run_by_dvc(command: str, **environment: str) -> tuple[subprocess.Popen, int]:
        dvc = subprocess.Popen(
            [sys.executable, "-c", DVC, command.format(shlex.join([sys.executable, "-c", STAGE]))],
            cwd=ROOT,
            env=project.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stages.append(int(dvc.stdout.readline()))
        return dvc, stages[-1]

    yield run_by_dvc
    for stage in stages:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stage, signal.SIGKILL)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_stage_ends_with_one_line_once_dvc_is_gone(run_by_dvc, command):
    dvc, _ = run_by_dvc(command, DVC_STAGE="none of dvc.yaml")
    dvc.kill()
    _, errors = dvc.communicate(timeout=pace.seconds(20))  # until the last of them has closed the streams
    assert errors == "error: DVC was ended while it ran this stage; `dvc repro` goes on with it\n"


def test_a_program_that_dvc_does_not_run_outlives_its_parent(run_by_dvc):
    parent, program = run_by_dvc(COMMANDS["the shell has become the stage"])
    parent.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        parent.communicate(timeout=pace.seconds(1))
    os.kill(program, 0)


def test_a_fault_of_the_programs_own_shows_its_traceback():
    process = run("raise LookupError('why')")
    assert process.returncode == 1
    assert process.stderr.endswith("\nLookupError: why\n")


def test_what_tensorflow_warns_of_while_a_stage_runs_is_not_shown():
    process = run("import logging; logging.getLogger('tensorflow').warning('5 calls triggered retracing')")
    assert process.stderr == ""


def test_a_stage_waits_for_a_server_only_so_long():
    process = run("import socket; print(socket.getdefaulttimeout() == runtime.NETWORK_TIMEOUT_SECONDS)")
    assert process.stdout == "True\n"


def test_a_terminal_that_lacks_a_character_of_a_table_shows_its_number():
    process = run("print('a – b')", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert process.stdout == "a \\u2013 b\n"


CORES = len(os.sched_getaffinity(0))
SETTINGS = [(threads, cores) for threads in (1, 2) for cores in sorted({1, CORES})]
TRAININGS = f"""
import stages.train.cnn2
from study.base import runtime

runtime.end_imports()

import hashlib
import os
import warnings

import keras
import numpy as np

warnings.simplefilter("ignore", DeprecationWarning)  # of forks, since Python 3.12

def train(threads, cores):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    runtime.use_threads(threads)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 8))
    x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model.compile("adam", "mse", run_eagerly=True)
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(128, 16, 16, 8)), rng.normal(size=(128, 2)), batch_size=64, epochs=1, verbose=0)
    print(threads, cores, hashlib.sha256(b"".join(map(bytes, model.get_weights()))).hexdigest(), flush=True)


for setting in {SETTINGS}:  # TensorFlow counts cores and reads its threads as it begins to compute: once a process
    if os.fork() == 0:
        train(*setting)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def trainings() -> subprocess.CompletedProcess:
    """Trainings by one and two threads, on one core and on all, each in a process of its own."""
    return python(TRAININGS)


@pytest.fixture(scope="module")
def weights(trainings) -> dict[tuple[int, int], str]:
    """The hash of the weights after a training, by its number of threads and of cores."""
    lines = (line.split() for line in trainings.stdout.splitlines())
    return {(int(threads), int(cores)): digest for threads, cores, digest in lines}


def test_the_imports_of_a_training_and_its_start_write_nothing_to_stderr(trainings):
    assert (trainings.returncode, trainings.stderr) == (0, "")


@pytest.mark.parametrize("threads", [1, 2])
def test_so_many_threads_give_the_same_bits_on_one_core_and_on_all(weights, threads):
    assert weights[threads, 1] == weights[threads, CORES]


def test_the_number_of_threads_decides_the_bits(weights):
    assert weights[1, 1] != weights[2, 1]


def test_empty_threads_are_one_per_core_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "before")  # restored at the end
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "before")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    runtime.use_threads(None)
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "3"


GROWTH = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
started = faults()
for _ in range(20):
    tensor = ctypes.c_void_p(libc.malloc(2**26))
    ctypes.memset(tensor, 1, 2**26)
    libc.free(tensor)
print((faults() - started) * resource.getpagesize() // 2**26)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc")
def test_freed_memory_is_kept():
    """How often 64 MB, taken and freed twenty times, come from the system."""
    assert int(python(START + GROWTH).stdout) < 3
