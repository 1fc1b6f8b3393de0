"""What a killed stage goes on from: the state after each epoch, in checkpoints/, which git and DVC ignore.

It stays until the stage `report` ends: before that DVC may not have recorded what the stage wrote.
A checkpoint belongs to its exact inputs: data, params, the project's code and the versions of what computes. Under
other inputs it is thrown away, as is one that cannot be read. (keras.callbacks.BackupAndRestore keeps neither history
nor the state of early stopping and schedules, and knows nothing of the inputs.)
"""

import hashlib
import importlib.metadata
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stages.lib import files
from stages.lib.errors import UserError

FOLDER = files.CHECKPOINTS
PACKAGES = ("keras", "numpy", "optuna", "scikit-learn", keras.backend.backend())
# What Keras' own callbacks learn from one epoch for the next.
CALLBACK_STATE = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


class Checkpoint:
    """The folder checkpoints/NAME of one training; `inputs` is all that its result depends on besides the code."""

    def __init__(self, name: str, **inputs: Any):
        self.folder = FOLDER / name
        packages = {package: importlib.metadata.version(package) for package in PACKAGES}
        content = json.dumps([inputs, packages, _code()], sort_keys=True, default=repr)
        digest = hashlib.sha256(content.encode()).hexdigest()
        marker = self.folder / "inputs.sha256"
        if not marker.is_file() or marker.read_bytes() != digest.encode():
            if self.folder.exists():
                shutil.rmtree(self.folder)
            files.write_text(marker, digest)

    def phase(self, name: str) -> "Phase":
        return Phase(self.folder / f"{name}.npz")

    def result(self) -> dict | None:
        """What `finish` was given, if it was."""
        try:
            return files.read_json(self.folder / "result.json", dict)
        except UserError:
            return None

    def finish(self, result: dict) -> None:
        """Keep the result, drop the weights."""
        files.write_json(self.folder / "result.json", result)
        for path in self.folder.glob("*.npz"):
            path.unlink()


def _code() -> dict[str, str]:
    """SHA-256 of every module of the project that is loaded."""
    specs = (getattr(module, "__spec__", None) for module in list(sys.modules.values()))
    return {
        spec.name: files.sha256(spec.origin)
        for spec in specs
        if spec and spec.name.partition(".")[0] == "stages" and spec.origin
    }


class Phase:
    """One `Model.fit` that can be gone on with: `history` holds a dict for each epoch that is done."""

    def __init__(self, path: Path):
        self.path = path
        self.history: list[dict[str, float]] = []
        self.stopped = False
        self._arrays: dict[str, np.ndarray] = {}
        self._callbacks: list[dict] = []
        if path.is_file():
            try:
                self._arrays = files.read_npz(path)
                state = json.loads(str(self._arrays.pop("state")))
                self.history, self.stopped, self._callbacks = state["history"], state["stopped"], state["callbacks"]
            except (UserError, KeyError, ValueError):
                path.unlink()

    def saver(self, callbacks: list[keras.callbacks.Callback], on_epoch: Callable[[dict[str, float]], None]) -> "Saver":
        """The callback, to stand after `callbacks`, that restores the state as training begins and saves it after each
        epoch, once `on_epoch(row)` has seen the epoch's row of history."""
        return Saver(self, callbacks, on_epoch)

    def save(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        arrays = {key: variable for key, variable in _variables(model)}
        states = []
        for number, callback in enumerate(callbacks):
            states.append({name: getattr(callback, name) for name in _state_of(callback)})
            for index, weights in enumerate(getattr(callback, "best_weights", None) or []):
                arrays[f"best/{number}/{index:05d}"] = weights
        state = {"history": self.history, "stopped": bool(model.stop_training), "callbacks": states}
        with files.whole(self.path) as partial, zipfile.ZipFile(partial, "w") as archive:
            for key, array in {"state": json.dumps(state), **arrays}.items():  # one copy at a time
                with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, _to_numpy(array), allow_pickle=False)

    def restore(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        if not self.history:
            return
        for key, variable in _variables(model):
            variable.assign(self._arrays.pop(key))
        for number, (callback, state) in enumerate(zip(callbacks, self._callbacks, strict=True)):
            for name, value in state.items():
                setattr(callback, name, value)
            best = [self._arrays[key] for key in sorted(self._arrays) if key.startswith(f"best/{number}/")]
            if best:
                callback.best_weights = best
        self._arrays = {}


class Saver(keras.callbacks.Callback):
    def __init__(self, phase: Phase, callbacks: list, on_epoch: Callable[[dict[str, float]], None]):
        super().__init__()
        self.phase, self.callbacks, self.report = phase, callbacks, on_epoch

    def on_train_begin(self, logs=None) -> None:
        for row in self.phase.history:
            self.report(row)
        self.phase.restore(self.model, self.callbacks)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        row = {"epoch": epoch + 1} | {key: float(value) for key, value in logs.items()}
        self.report(row)
        self.phase.history.append(row)
        self.phase.save(self.model, self.callbacks)


def _variables(model: keras.Model) -> list[tuple[str, Any]]:
    """Weights, statistics, seeds of random layers, and the optimizer's state, each with a name."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return [(f"{group}/{index:05d}", v) for group, variables in groups.items() for index, v in enumerate(variables)]


def _state_of(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return CALLBACK_STATE.get(type(callback), ())


def _to_numpy(value: Any) -> np.ndarray:
    return np.array(value) if isinstance(value, str) else keras.ops.convert_to_numpy(value)
