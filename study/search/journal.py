"""The search in a file of Optuna's own, for optuna-dashboard: `optuna-dashboard checkpoints/optuna.journal`.

It is written while the search runs and never read: each search begins it anew. git and DVC ignore it, and `report`
deletes it with the checkpoints.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from study import files
from study.runtime import first_line

NAME = "optuna.journal"


class Journal:
    """Copies of the studies of one search. The first fault ends the copying, in one line, and not the search."""

    def __init__(self):
        self.path: Path = files.CHECKPOINTS / NAME
        self._works = True
        self._attempt(self._open)

    def begin(self, model: str) -> None:
        """Add the study of a model, which the trials that follow belong to."""
        self._attempt(self._create, model)

    def ask(self, trial: FrozenTrial) -> None:
        """Add a trial that runs from now on; trials are added in the order of their numbers."""
        self._attempt(self._ask, trial)

    def report(self, number: int, roc_auc: float, epochs: int) -> None:
        """Add the score of a trial in one rung."""
        self._attempt(lambda: self._trials[number].report(roc_auc, epochs))

    def tell(self, trial: FrozenTrial) -> None:
        """Add how a trial ended."""
        value = trial.value if trial.state == TrialState.COMPLETE else None
        self._attempt(lambda: self._study.tell(self._trials[trial.number], value, trial.state))

    def _open(self) -> None:
        self.path.parent.resolve().mkdir(parents=True, exist_ok=True)
        for path in (self.path, self.path.with_name(f"{NAME}.lock")):  # Optuna's own lock, which a kill may have left
            path.unlink(missing_ok=True)
        self._storage = JournalStorage(JournalFileBackend(str(self.path)))

    def _create(self, model: str) -> None:
        sampler = optuna.samplers.RandomSampler()  # draws nothing: all params of a trial are given
        self._study = optuna.create_study(
            storage=self._storage, study_name=model, direction="maximize", sampler=sampler
        )
        self._trials: dict[int, optuna.Trial] = {}

    def _ask(self, trial: FrozenTrial) -> None:
        self._study.enqueue_trial(trial.params)
        self._trials[trial.number] = self._study.ask(trial.distributions)

    def _attempt(self, write: Callable[..., None], *arguments) -> None:
        if not self._works:
            return
        try:
            with warnings.catch_warnings(action="ignore"):  # Optuna calls this storage experimental
                write(*arguments)
        except Exception as error:  # whatever it is: nothing depends on this file
            self._works = False
            print(f"note: {self.path} shows the search no further: {first_line(error)}", flush=True)
