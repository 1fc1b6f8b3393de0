"""The stages of the pipeline: one module a stage, run as `python -m stages.NAME` by dvc.yaml."""

import contextlib
import importlib.util
import os
import sys

BACKENDS = ("tensorflow", "jax", "torch")

# TensorFlow's notes on the processor and on missing GPUs; its faults arrive as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever ~/.keras/keras.json says
if _backend not in BACKENDS:
    sys.exit(f"error: KERAS_BACKEND is {_backend!r}; allowed: {', '.join(BACKENDS)}")
if importlib.util.find_spec(_backend) is None:
    sys.exit(f"error: KERAS_BACKEND is {_backend}, which is not installed; install it, or unset KERAS_BACKEND")
for _limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
    if _limit in os.environ:
        sys.exit(f"error: {_limit} is set and would cut trainings short; unset it")


def _stopped(kind, value, traceback):
    """Ctrl-C, during the imports too: one line, exit code 130, as shells have it."""
    if not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, value, traceback)
    with contextlib.suppress(OSError):  # what reads them may be gone
        print("stopped; `dvc repro` goes on after the last whole epoch", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(130)


sys.excepthook = _stopped
