"""The state from which a killed stage continues, after each epoch, in checkpoints/, which git and DVC ignore.

A checkpoint serves the exact inputs that it was made from: data, params, the project's code, and what decides the
arithmetic. Its key is a hash of them all; each file carries the key inside and is refused under another. Its folder is
one process's at a time (study/base/checkpoints.py), and stays until the stage `report` ends, since DVC may not have
recorded before what a stage wrote.
(keras.callbacks.BackupAndRestore keeps neither history nor the state of early stopping and schedules, and no key.)
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from study.base import checkpoints, files, inputs
from study.base.checkpoints import Claim
from study.base.runtime import UserError, check_inputs
from study.display.live import Progress
from study.scoring import gpus
from study.training.arithmetic import arithmetic

# What Keras' own callbacks learn from one epoch for the next.
CALLBACK_STATE = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}

WEIGHTS = "weights"

Row = dict[str, float]


def ignore(row: Row) -> None:
    """What is done with a row of the history that nobody asks for."""


def kind_of_arithmetic() -> str:
    """16 hex digits, the same for the same arithmetic."""
    return _sha256(arithmetic() | gpus.arithmetic())[:16]


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


class Checkpoint:
    """The folder of one run; `made_from` is all that its result depends on besides the code, its script's included.

    Raises UserError if another process trains NAME, and if the code or a file that was read has changed.
    """

    def __init__(self, name: str, script: str = "", **made_from: Any):
        check_inputs()
        self.key = _sha256([made_from, arithmetic() | gpus.arithmetic(), inputs.code(script)])
        self._claim = Claim(name, self.key)
        self.folder = self._claim.folder

    def write(self, name: str, **arrays: Any) -> None:
        """Keep arrays, or what NumPy makes an array of, one copy at a time."""
        files.write_npz(self.folder / f"{name}.npz", key=self.key, **arrays)

    def read(self, name: str) -> dict[str, np.ndarray] | None:
        """The arrays kept under this name for these inputs, if any; a damaged file or one of other inputs is none."""
        try:
            arrays = files.read_npz(self.folder / f"{name}.npz")
        except UserError:
            return None
        return arrays if str(arrays.pop("key", "")) == self.key else None

    def finish(self, result: dict, weights: Sequence[Any] = ()) -> None:
        """Keep the result of a run and its weights, drop its states, and give the folder to others."""
        if weights:
            self.write(WEIGHTS, **{f"{number:05d}": array for number, array in enumerate(weights)})
        files.write_json(self.folder / "result.json", {"key": self.key, "result": result})
        for name in checkpoints.STATES:
            (self.folder / name).unlink(missing_ok=True)
        self._claim.release()

    def weights(self) -> list[np.ndarray]:
        """Those that `finish` was given; none, if they cannot be read."""
        arrays = self.read(WEIGHTS) or {}
        return [arrays[name] for name in sorted(arrays)]

    def result(self) -> dict | None:
        """What `finish` was given for these inputs, if it was."""
        try:
            record = files.read_json(self.folder / "result.json", dict)
        except UserError:
            return None
        return record["result"] if record.get("key") == self.key else None


class Unkept:
    """In the place of a checkpoint: nothing is kept."""

    def write(self, name: str, **arrays: Any) -> None:
        """Keep nothing."""

    def read(self, name: str) -> None:
        """Nothing was kept."""

    def finish(self, result: dict, weights: Sequence[Any] = ()) -> None:
        """Keep nothing."""

    def result(self) -> None:
        """Nothing was kept."""

    def weights(self) -> list[np.ndarray]:
        """Nothing was kept."""
        return []


class Phase(keras.callbacks.Callback):
    """One `Model.fit` that a killed process can go on with; the last of its callbacks.

    As training begins it restores the state that is kept under `name`, if any, and gives `on_epoch` the rows of the
    finished epochs; after each epoch it gives `on_epoch` the epoch's row, then keeps the state. What `on_epoch` raises
    ends the training. `callbacks` come before it, and their state is kept too.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Unkept,
        name: str,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        on_epoch: Callable[[Row], None] = ignore,
    ):
        super().__init__()
        self.checkpoint, self.name, self.callbacks, self.on_epoch = checkpoint, name, callbacks, on_epoch
        self.history: list[Row] = []
        self.stopped = False
        self._arrays = checkpoint.read(name) or {}
        if self._arrays:
            state = json.loads(str(self._arrays.pop("state")))
            self.history, self.stopped, self._callback_states = state["history"], state["stopped"], state["callbacks"]

    def next_epoch(self, epochs: int) -> int:
        """The epoch to go on with, from 0; `epochs`, if none is left."""
        return epochs if self.stopped else len(self.history)

    def options(self, epochs: int) -> dict[str, Any]:
        """Arguments of `Model.fit` for the epochs that are left, whose batches are in order."""
        return {
            "initial_epoch": self.next_epoch(epochs),
            "epochs": epochs,
            "callbacks": [*self.callbacks, self, Progress()],
            "shuffle": False,
            "verbose": 0,
        }

    def on_train_begin(self, logs: Row | None = None) -> None:
        for row in self.history:
            self.on_epoch(row)
        self.restore(self.model)

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        row = {"epoch": epoch + 1} | {key: float(value) for key, value in logs.items()}
        self.on_epoch(row)
        self.history.append(row)
        self._save()

    def restore(self, model: keras.Model) -> None:
        """Put the kept state into the model, its optimizer and the callbacks; nothing, if none is kept."""
        if not self._arrays:
            return
        for key, variable in _variables(model).items():
            variable.assign(self._arrays.pop(key))
        for number, (callback, state) in enumerate(zip(self.callbacks, self._callback_states, strict=True)):
            for name, value in state.items():
                setattr(callback, name, value)
            best = [self._arrays[key] for key in sorted(self._arrays) if key.startswith(f"best/{number}/")]
            if best:
                callback.best_weights = best
        self._arrays = {}

    def _save(self) -> None:
        arrays, states = _variables(self.model), []
        for number, callback in enumerate(self.callbacks):
            states.append({name: getattr(callback, name) for name in CALLBACK_STATE.get(type(callback), ())})
            for index, weights in enumerate(getattr(callback, "best_weights", None) or []):
                arrays[f"best/{number}/{index:05d}"] = weights
        state = {"history": self.history, "stopped": bool(self.model.stop_training), "callbacks": states}
        self.checkpoint.write(self.name, state=json.dumps(state), **arrays)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Weights, statistics, seeds of random layers, and the optimizer's state, each with a name."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}/{index:05d}": v for group, variables in groups.items() for index, v in enumerate(variables)}
