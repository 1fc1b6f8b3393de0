"""The search in a file of Optuna's own, for optuna-dashboard: `optuna-dashboard checkpoints/optuna.journal`.

It is written while the search runs and never read: each search begins it anew. git and DVC ignore it, and `report`
deletes it with the checkpoints.
"""

from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from study.base import files
from study.base.runtime import first_line

NAME = "optuna.journal"


class Journal:
    """Copies of the studies of one search. The first fault ends the copying, in one line, and not the search."""

    def __init__(self):
        self.path: Path = files.CHECKPOINTS / NAME
        self._works = True
        self._attempt(self._open)

    def begin(self, study: optuna.Study) -> None:
        """Add a study, which the trials that follow belong to."""
        self._attempt(self._begin, study)

    def ask(self, trial: FrozenTrial) -> None:
        """Add a trial that runs from now on."""
        self._attempt(self._ask, trial)

    def report(self, number: int, roc_auc: float, epochs: int) -> None:
        """Add the score of a trial in one rung."""
        self._attempt(lambda: self._storage.set_trial_intermediate_value(self._trials[number], epochs, roc_auc))

    def tell(self, trial: FrozenTrial) -> None:
        """Add how a trial ended."""
        self._attempt(
            lambda: self._storage.set_trial_state_values(self._trials[trial.number], trial.state, trial.values)
        )

    def _open(self) -> None:
        self.path.parent.resolve().mkdir(parents=True, exist_ok=True)
        for path in (self.path, self.path.with_name(f"{NAME}.lock")):  # Optuna's own lock, which a kill may have left
            path.unlink(missing_ok=True)
        self._storage = JournalStorage(JournalFileBackend(str(self.path)))

    def _begin(self, study: optuna.Study) -> None:
        self._study = self._storage.create_new_study(study.directions, study.study_name)
        self._trials: dict[int, int] = {}  # Optuna's own numbers

    def _ask(self, trial: FrozenTrial) -> None:
        self._trials[trial.number] = self._storage.create_new_trial(self._study, trial)

    def _attempt(self, write: Callable[..., None], *arguments) -> None:
        if not self._works:
            return
        try:
            write(*arguments)
        except Exception as error:  # whatever it is: nothing depends on this file
            self._works = False
            print(f"note: {self.path} shows the search no further: {first_line(error)}", flush=True)
