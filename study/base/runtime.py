"""How every program of this project starts and ends: environment, threads, signals, one-line errors.

`stages/__init__.py` and `study/__main__.py` call `set_up` before anything else is imported, since TensorFlow and pyplot
read the environment when they are. No other import in the project does more than define.
"""

import contextlib
import ctypes
import gc
import logging
import os
import re
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from study.base import inputs

NETWORK_TIMEOUT_SECONDS = 30
WATCH_SECONDS = 1
# Variables that no user of a study needs, and what they would do.
REFUSED = {
    "KERAS_MAX_EPOCHS": "cut training short",
    "KERAS_MAX_STEPS_PER_EPOCH": "cut training short",
    "ONEDNN_DEFAULT_FPMATH_MODE": "compute less precisely than the param precision says",
    "DNNL_DEFAULT_FPMATH_MODE": "compute less precisely than the param precision says",
}
# Options of glibc's mallopt, by number, with their values: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX.
MALLOPT = {-1: 2**31 - 1, -2: 16 * 2**20, -4: 0, -8: 2}
COMMANDS = ("study", "benchmarks")  # the packages whose programs are no stages
STDOUT, STDERR = 1, 2
# What Keras imports if it can, for wrappers and galleries: a third of the time of `import keras`.
OPTIONAL = ("sklearn", "matplotlib")
# The module in which Keras reads the user's keras.json and its variables, and raises what it does not like there.
KERAS_CONFIGURATION = "keras.src.backend.config"
# What NumPy and TensorFlow say that they could not allocate, without the place in TensorFlow.
ALLOCATION = re.compile(r"Unable to allocate .+|OOM when allocating .+?(?= on /|$)", re.MULTILINE)


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
    """The first line of an exception's text, up to 300 characters of it, or its type if it has none."""
    return without_secrets((str(error).strip() or type(error).__name__).splitlines()[0])[:300]


def memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def set_up() -> None:
    """Prepare the process, once. Exits with one line if the environment would change results."""
    if sys.excepthook is _end_in_one_line:
        return
    _open_standard_streams()
    sys.excepthook = _end_in_one_line
    _keep_memory()
    inputs.remember_code()
    if sys.path[0] in ("", str(Path.cwd())):  # a file of the root, such as json.py, is imported in place of no module
        sys.path.append(sys.path.pop(0))
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever ~/.keras/keras.json says
    if backend != "tensorflow":
        sys.exit(f"error: KERAS_BACKEND is {backend!r}; allowed: tensorflow, the one backend of this project; unset it")
    for name, effect in REFUSED.items():
        if name in os.environ:
            sys.exit(f"error: {name} is set and would {effect}; unset it")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow's notes on the processor; its faults arrive as exceptions
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # a GPU's memory as it is needed, not all of it for one process
    os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "1"  # in the place of a pool that never returns memory
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    os.environ["MATPLOTLIBRC"] = os.devnull  # in the place of the user's own
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home that it cannot write to
    warnings.simplefilter("ignore")  # of packages, to those who develop them, whatever PYTHONWARNINGS says
    sys.meta_path.insert(0, WithoutOptional())
    begin_imports()
    _end_with_dvc()


def _keep_memory() -> None:
    """Let glibc keep what it frees. By default it returns large tensors to the system and asks for them again at every
    step, which takes a fifth of a training run's CPU time. Other C libraries stay as they are."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for option, value in MALLOPT.items():
            libc.mallopt(option, value)


class WithoutOptional:
    """Finds no OPTIONAL package while Keras is imported; other modules import them as ever."""

    def find_spec(self, name, path=None, target=None):
        spec = getattr(sys.modules.get("keras"), "__spec__", None)
        if name.partition(".")[0] in OPTIONAL and getattr(spec, "_initializing", False):  # as importlib marks it
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def begin_imports() -> None:
    """Until `end_imports`, collect no garbage, and drop what libraries write to the descriptor of stderr: TensorFlow
    has six lines, whatever TF_CPP_MIN_LOG_LEVEL says. Python's own messages are shown.
    """
    gc.disable()  # a fifth of the time of `import keras`
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDERR)
    os.close(null)


def end_imports() -> None:
    """End what `begin_imports` began. What was imported stays out of later collections; Keras gets its own defaults."""
    if keras := sys.modules.get("keras"):  # whatever ~/.keras/keras.json says
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
    gc.freeze()
    gc.enable()
    os.dup2(sys.__stderr__.fileno(), STDERR)


def use_threads(threads: int | None) -> None:
    """Set the number of threads of TensorFlow; None: one per core. Call it before TensorFlow's first operation.

    The number decides how sums are split, and so the bytes of a result. Operations run one at a time: each takes all
    threads anyway, and two at once would hold the memory of both.
    """
    from study.base import machine  # as `times` in `run`

    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads or machine.cores())
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"


def run(main: Callable[..., None], *args: str) -> None:
    """Call `main(*args)`; end with exit code 1 and one line for a fault of the user's or the system's."""
    end_imports()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_SECONDS)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of networks that are traced and used a few times
    sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that lack a character of a table
    inputs.begin()
    if stage := os.environ.get("DVC_STAGE"):
        from study.base import times  # a file of the root may be named like what it imports; see `set_up`

        times.begin(stage)
    try:
        main(*args)
        check_inputs()
        sys.stdout.flush()  # a full disk or a reader that is gone, at the last instant to say so
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if not error.filename:
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # else the interpreter tries once more as it ends
        reason = error.strerror or str(error) or type(error).__name__
        line = one_line(f"{error.filename or 'input or output'}: {reason}; mend that and run it again")
        sys.exit(f"error: {line}")
    except Exception as error:
        if (lack := lack_of_memory(error)) is None:
            raise
        sys.exit(f"error: {' '.join([_program(), *map(str, args)])}: {lack}; fewer or smaller images need less")
    finally:
        gc.freeze()  # the interpreter's last collection would take a second for what TensorFlow holds


def check_inputs() -> None:
    """Raise UserError if what the program was made from is no longer what is on disk, and what DVC would record."""
    if path := inputs.changed():
        if _is_command():
            raise UserError(f"{path} changed while this command ran; run it again")
        raise UserError(f"{path} changed while this stage ran; run `dvc repro` again")


def _end_with_dvc() -> None:
    """End a process that DVC runs as soon as DVC is gone: the next `dvc repro` must be the only writer."""
    if "DVC_STAGE" not in os.environ:
        return
    ancestors = _ancestors()

    def watch() -> None:
        while _ancestors() == ancestors:
            time.sleep(WATCH_SECONDS)
        with contextlib.suppress(OSError):
            print("error: DVC was ended while it ran this stage; `dvc repro` goes on with it", file=sys.__stderr__)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ancestors() -> list[int]:
    """The id of DVC's process; of a shell and the process before it, if `fish -c COMMAND` or the like is between."""
    import psutil

    parent = os.getppid()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        if process.cmdline()[-2:-1] == ["-c"]:
            return [parent, process.ppid()]
    return [parent]


def lack_of_memory(error: BaseException) -> str | None:
    """`out of memory` with what could not be allocated, if the exception tells; None for any other exception."""
    if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's
        return None
    allocation = ALLOCATION.search(str(error))
    return f"out of memory ({allocation[0]})" if allocation else "out of memory"


@contextlib.contextmanager
def memory_for(work: str, remedy: str) -> Iterator[None]:
    """Within this context, a lack of memory is a UserError that names the work and ends with the remedy."""
    try:
        yield
    except Exception as error:
        if (lack := lack_of_memory(error)) is None:
            raise
        raise UserError(f"{work}: {lack}; {remedy}") from None


def _program() -> str:
    """The name of the stage that runs, or of the file or package."""
    spec = sys.modules["__main__"].__spec__
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return name.removeprefix("stages.")


def _is_command() -> bool:
    """Whether the program is no stage: `python -m study …` or a benchmark."""
    spec = sys.modules["__main__"].__spec__
    return spec is not None and spec.name.partition(".")[0] in COMMANDS


def _open_standard_streams() -> None:
    """Give a closed stdin, stdout or stderr the null device, so that no other file takes its descriptor. Python's own
    messages get a descriptor besides: see `begin_imports`."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (they stay open)
    sys.stderr = sys.__stderr__ = os.fdopen(os.dup(STDERR), "w", buffering=1, errors="backslashreplace")


def _end_in_one_line(kind, value, trace) -> None:
    """End with one line at Ctrl-C, with exit code 130 as shells have it, and if Keras refuses the user's settings.

    Both may come during imports.
    """
    if issubclass(kind, KeyboardInterrupt):
        with contextlib.suppress(OSError):  # the reader of either stream may be gone
            line = "stopped" if _is_command() else "stopped; `dvc repro` continues after the last finished epoch"
            print(line, file=sys.stderr, flush=True)
            sys.stdout.flush()
        os._exit(130)
    modules = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(trace)]
    if modules[-1:] == [KERAS_CONFIGURATION]:
        folder = os.environ.get("KERAS_HOME", "~/.keras")
        print(f"error: {folder}/keras.json or a variable KERAS_…: {first_line(value)}; correct it", file=sys.stderr)
    else:
        sys.__excepthook__(kind, value, trace)
