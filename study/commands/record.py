"""Copy what a finished run found into a folder, with its machine, versions and times: a record that outlives the run.

No pixel is copied: no samples, no grids of predictions, no table with a row per image.
"""

import json
import os
import platform
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from study.base import files, times
from study.base.runtime import UserError, first_line
from study.commands import use
from study.compare import revisions
from study.eda.record import Eda
from study.params import load
from study.report.words import render

PAGE = "README.md"
MARK = "<!-- python -m study record"  # how a page begins that was written here
COPIED = ("params.yaml", "metrics/*.json", "metrics/trials.csv", "metrics/test/*.json", "metrics/validation/*.json")
COPIED += ("reports/*.md", "reports/classification/*.md", "plots/*.png")
CODE = ("dvc.yaml", "stages", "study")
FIGURES = ("ranking", "roc", "learning_curves", "calibration")
PIXELS = re.compile(r"(?:, )?!?\[[^]]*\]\(\.\./plots/(?:predictions|eda)/[^)]*\)")  # a link to pictures of images
PACKAGES = ("dvc", "keras", "tensorflow", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Times:
    """Of one stage, since the last time that it had finished before: `starts`, of which all but the last were cut."""

    stage: str
    starts: int
    seconds: float
    cpu_seconds: float
    peak_kilobytes: int
    machine: str


def main(folder: str) -> None:
    """Write the record. Raises UserError if a stage has yet to run, or if the folder holds anything else."""
    target = Path(folder)
    page = target / PAGE
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not _is_ours(page)):
        raise UserError(f"{folder}: is no record; give a new folder, or one that this command wrote")
    if stages := unfinished():
        raise UserError(f"{stages[0]} has yet to run with these params, code and data; run `dvc repro` first")
    head, workspace = revisions.find("HEAD", None)
    data = load.load("data").data
    copy(target, Path(data.path or ""))
    spent = list(stage_times())
    text = render(
        "record",
        folder=Path(__file__).parent,
        study=without_folder(use.summary(use.read_studies(), load.read_yaml(load.FILE)), Path(data.path or "")),
        data=data,
        eda=files.read_json("metrics/eda.json", Eda),
        commit=head.commit,
        changed=workspace.changed_since(head, *CODE),
        machines=sorted({entry.machine for entry in spent}),
        versions=[f"Python {platform.python_version()}", *(f"{package} {version(package)}" for package in PACKAGES)],
        ranking=Path("reports/ranking.md").read_text(encoding="utf-8"),
        figures=FIGURES,
        times=spent,
    )
    files.write_text(page, text)
    print(f"{page}: a record of this run")


def copy(target: Path, archive: Path) -> None:
    """Copy the files of the run: without pictures of images, with valid links to the documentation, and with the name
    of the archive of images in place of its path."""
    documents = Path(os.path.relpath("docs", target / "reports")).as_posix()
    for source in sorted(path for pattern in COPIED for path in Path().glob(pattern)):
        (target / source).parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        if source.suffix != ".png":
            text = PIXELS.sub("", content.decode()).replace("](../docs/", f"]({documents}/")
            content = without_folder(text, archive).encode()
        (target / source).write_bytes(content)


def without_folder(text: str, archive: Path) -> str:
    """The text in which an absolute path of one machine is a name."""
    return text.replace(str(archive), archive.name) if archive.is_absolute() else text


def unfinished() -> list[str]:
    """The stages that `dvc status` names: they differ from dvc.lock. Raises UserError if DVC cannot say."""
    from dvc.exceptions import DvcException  # takes half a second, which other commands do without
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return list(repo.status())
    except DvcException as error:  # another process holds DVC's lock, or there is no repository
        raise UserError(f"dvc status: {first_line(error)}") from None


def stage_times() -> Iterator[Times]:
    """The last finished run of each stage, with the starts before it that were cut; in the order of their ends.

    A stage that was killed leaves no seconds: they are missing from the sums. A full disk or a power cut may leave a
    part of a line, which is skipped.
    """
    starts: defaultdict[str, int] = defaultdict(int)
    finished: dict[str, Times] = {}
    lines = times.FILE.read_text(encoding="utf-8").splitlines() if times.FILE.is_file() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        stage = entry["stage"]
        if "seconds" not in entry:
            starts[stage] += 1
            continue
        finished.pop(stage, None)
        values = {key: entry[key] for key in ("seconds", "cpu_seconds", "peak_kilobytes", "machine")}
        finished[stage] = Times(stage, starts.pop(stage, 1), **values)
    yield from finished.values()


def _is_ours(page: Path) -> bool:
    return page.is_file() and page.read_text(encoding="utf-8", errors="replace").startswith(MARK)
