"""The file in which Optuna keeps the studies of a search: `optuna-dashboard checkpoints/optuna.journal` shows them.

Each search begins it anew. git and DVC ignore it, and `report` deletes it with the checkpoints.
"""

from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.base import checkpoints


class Backend(JournalFileBackend):
    """Optuna's own, whose faults name the file: what the system says of a full disk does not."""

    def __init__(self, path: str):
        super().__init__(path)
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            super().append_logs(logs)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error


def begin() -> JournalStorage:
    """An empty storage."""
    path = checkpoints.delete_journal()
    path.parent.resolve().mkdir(parents=True, exist_ok=True)
    return JournalStorage(Backend(str(path)))
