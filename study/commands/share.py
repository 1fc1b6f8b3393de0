"""Send all that was run to the remote of the team, so that nobody has to run it again.

`dvc push --run-cache` sends the entries of DVC's run cache. Of their files, it sends only those that dvc.lock names and
git does not track. In another clone, `dvc repro --pull` finds an entry, lacks its metrics and runs the stage again.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from study.base.runtime import UserError, first_line

if TYPE_CHECKING:  # DVC takes a second to import, which other commands do without
    from dvc.repo import Repo

LOGGERS = ("dvc", "dvc_data", "dvc_objects")


def main(remote: str | None) -> None:
    """Push to a remote, or to the default one; print how many files. Raises UserError if one does not arrive."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    faults = Faults()
    try:
        with Repo() as repo:
            name = configured(repo, remote)
            data, runs = repo.push(remote=name), push_files_of_runs(repo, name)
            repo.stage_cache.push(name)  # last: an entry that is there has its files
    except (UserError, NotDvcRepoError) as error:
        raise UserError(str(error)) from None
    except Exception as error:  # each kind of remote raises its own
        faults.reasons.append(first_line(error))
    if faults.reasons:
        raise UserError(
            f"not all files reached the remote {name}: {faults.reasons[0]}; see docs/sharing.md, then run it again, "
            "which sends what is lacking"
        )
    print(f"{name} has all files; new there are {data} that dvc.lock names and {runs} more of finished runs")


class Faults(logging.Handler):
    """In place of what DVC prints, a line or more per file that fails: the reason of each."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.reasons: list[str] = []
        for name in LOGGERS:
            logging.getLogger(name).handlers = [self]

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        self.reasons.append(first_line(error) if error else record.getMessage())


def configured(repo: "Repo", remote: str | None) -> str:
    """The name of the remote, or of the default one. Raises UserError if there is none."""
    name = remote or repo.config["core"].get("remote")
    if name not in repo.config["remote"]:
        lacking = f"remote {name}" if name else "default remote"
        raise UserError(f".dvc/config: there is no {lacking}; add one: `dvc remote add -d team s3://bucket/folder`")
    return name


def push_files_of_runs(repo: "Repo", remote: str) -> int:
    """Push what the entries of the run cache restore, but for what was deleted here; the number of files sent."""
    entries = [(path.parent.name, path.name) for path in Path(repo.stage_cache.cache_dir).glob("*/*/*")]
    used = repo.stage_cache.get_used_objs(entries, force=True)
    files = {file for some in used.values() for file in some if repo.cache.local.exists(file.value)}
    return len(repo.cloud.push(files, remote=remote).transferred)
