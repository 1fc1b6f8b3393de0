"""How every program of this project starts and ends: environment, threads, signals, one-line errors.

`stages/__init__.py` and `study/__main__.py` call `set_up` before anything else is imported, since TensorFlow and pyplot
read the environment when they are. No other import in the project does more than define.
"""

import contextlib
import gc
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable

NETWORK_TIMEOUT_SECONDS = 30
# Variables that would cut trainings short.
REFUSED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")
STDERR = 2
# Six lines that TensorFlow prints as its libraries are loaded, whatever TF_CPP_MIN_LOG_LEVEL says.
NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w./-]+:\d+\] "
)


# What may be secret in a URL: user and password; query and fragment.
LOGIN, QUERY = re.compile(r"(?<=://)\S*@"), re.compile(r"(://[^\s?#]*[?#])[^\s'\"]+")


class UserError(Exception):
    """A fault that the user can mend: one line with the param or file, what was found, what is allowed, what to do."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """The text in one line that any terminal may show: no secrets, and escapes for control characters, invisible ones
    and those that change the direction of writing."""
    line = without_secrets(" ".join(text.split()))
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)


def without_secrets(text: str) -> str:
    """The text with an ellipsis for what may be secret in a URL: user, password, query and fragment."""
    return QUERY.sub(r"\1…", LOGIN.sub("…@", text))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, up to 300 characters of it, or its type where it has none."""
    return without_secrets((str(error).strip() or type(error).__name__).splitlines()[0])[:300]


def memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def set_up() -> None:
    """Prepare the process, once. Exits with one line where the environment would change results."""
    if sys.excepthook is _stop_on_ctrl_c:
        return
    _open_standard_streams()
    sys.excepthook = _stop_on_ctrl_c
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever ~/.keras/keras.json says
    if backend != "tensorflow":
        sys.exit(f"error: KERAS_BACKEND is {backend!r}; allowed: tensorflow, the one backend of this project; unset it")
    for name in REFUSED:
        if name in os.environ:
            sys.exit(f"error: {name} is set and would cut trainings short; unset it")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow's notes on the processor; its faults arrive as exceptions
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    begin_imports()


def begin_imports() -> None:
    """Until `end_imports`, collect no garbage and keep TensorFlow's start-up lines off stderr."""
    gc.disable()  # a fifth of the time of `import keras`
    _stderr_filter.start()


def end_imports() -> None:
    """End what `begin_imports` began. What was imported stays out of later collections."""
    gc.freeze()
    gc.enable()
    _stderr_filter.stop()


def use_threads(threads: int | None) -> None:
    """Let TensorFlow compute with so many threads; None: one per core. Call it before TensorFlow's first operation.

    The number decides how sums are split, and so the bytes of a result. Operations run one at a time: each takes all
    threads anyway, and two at once would hold the memory of both.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads or _cores())
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"


def _cores() -> int:
    """The cores that this process may use, where the system tells; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(main: Callable[..., None], *args: str) -> None:
    """Call `main(*args)`; end with exit code 1 and one line for a fault of the user's or the system's."""
    end_imports()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_SECONDS)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of networks that are traced and used a few times
    sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that lack a character of a table
    from study import progress

    if stage := progress.stage_of_stages():
        print(stage, flush=True)
    try:
        main(*args)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        line = one_line(f"{error.filename or 'input or output'}: {reason}; mend that and run it again")
        sys.exit(f"error: {line}")
    except Exception as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's
            raise
        sys.exit("error: out of memory; a smaller batch_size or image_size needs less")
    finally:
        gc.freeze()  # the interpreter's last collection would take a second for what TensorFlow holds


def _open_standard_streams() -> None:
    """Give a closed stdin, stdout or stderr the null device, so that no other file takes its descriptor."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (they stay open)
    sys.stderr = sys.stderr or open(STDERR, "w", closefd=False)  # noqa: SIM115


def _stop_on_ctrl_c(kind, value, traceback) -> None:
    """Ctrl-C, during most imports too: one line and exit code 130, as shells have it."""
    if not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, value, traceback)
    with contextlib.suppress(OSError):  # the reader of either stream may be gone
        print("stopped; `dvc repro` continues after the last finished epoch", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(130)


class _StderrFilter:
    """A child process that passes on what is written to stderr, but for NOISE.

    It is a process and no thread, so that it passes on the last words of one that crashes.
    """

    def __init__(self):
        self.stderr: int | None = None  # a copy of the descriptor, while the filter runs
        self.child: int | None = None

    def start(self) -> None:
        if self.child is not None:
            return
        self.stderr = os.dup(STDERR)
        reading, writing = os.pipe()
        allowed = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # Ctrl-C is not for the child
        self.child = os.fork()
        if self.child == 0:
            os.close(writing)
            with os.fdopen(reading, "rb") as lines:
                for line in lines:
                    if not NOISE.match(line):
                        os.write(self.stderr, line)
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        os.dup2(writing, STDERR)
        os.close(writing)
        os.close(reading)

    def stop(self) -> None:
        if self.child is None:
            return
        sys.stderr.flush()
        os.dup2(self.stderr, STDERR)
        os.close(self.stderr)
        os.waitpid(self.child, 0)  # it ends with the last writer of its pipe
        self.child = None


_stderr_filter = _StderrFilter()
