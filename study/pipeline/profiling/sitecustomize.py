"""On PYTHONPATH it makes the process of a stage record where its time goes, in the file PROFILE/STAGE.json.

A thread looks at the main thread's stack every few milliseconds, and adds the seconds since the last look, on the clock
and of the processors, to the kind of work of the innermost frame that has one. DVC gives the stage in DVC_STAGE.
"""

import atexit
import json
import os
import sys
import threading
import time
from pathlib import Path

INTERVAL = 0.005  # seconds
# Parts of a file's path, and of a function's name, by kind of work; the first that fits.
KINDS = {
    "imports": [("<frozen importlib", "")],
    "tracing": [("polymorphic_function/tracing_compilation", "trace_function")],
    "building": [("study/models/", ""), ("keras/src/models/cloning", ""), ("keras/src/optimizers/", "build")],
    "saving": [("study/files", ""), ("study/models/keras_file", "write")],
    "prediction": [("study/scoring/predict", "")],
    "figures": [("study/review/", "figure"), ("study/review/figures", ""), ("study/review/eda_figures", "")],
    "training": [("keras/src/backend/tensorflow/trainer", "fit")],
}


def kind_of(frame) -> str:
    """The kind of work of the innermost frame that has one."""
    while frame:
        path, function = frame.f_code.co_filename, frame.f_code.co_name
        for kind, places in KINDS.items():
            if any(part in path and name in function for part, name in places):
                return kind
        frame = frame.f_back
    return "other"


def profile(path: Path) -> None:
    main, done = threading.main_thread().ident, threading.Event()
    spent = {kind: {"wall": 0.0, "cpu": 0.0} for kind in [*KINDS, "other"]}
    last = [time.monotonic(), 0.0]

    def look() -> None:
        now = [time.monotonic(), time.process_time()]
        kind = kind_of(sys._current_frames().get(main))
        for unit, index in (("wall", 0), ("cpu", 1)):
            spent[kind][unit] += now[index] - last[index]
        last[:] = now

    def sample() -> None:
        while not done.wait(INTERVAL):
            look()

    thread = threading.Thread(target=sample, daemon=True)

    @atexit.register
    def write() -> None:
        done.set()
        thread.join()
        look()
        path.write_text(json.dumps(spent), encoding="utf-8")

    thread.start()


if "PROFILE" in os.environ and "DVC_STAGE" in os.environ:
    profile(Path(os.environ["PROFILE"], os.environ["DVC_STAGE"] + ".json"))
