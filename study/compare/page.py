"""What the reviewer of a change reads, as one Markdown page that a comment on GitHub can hold."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from study.base import files
from study.base.runtime import UserError
from study.compare import changes, revisions, verdicts
from study.compare.revisions import Revision
from study.params.schema import TRAINED_BY_BEST
from study.report import words

METRICS = ("metrics/test", "metrics/validation", "metrics/tune.json")
INTERVAL = ("_low", "_high")  # the last parts of the names of an interval's ends
PICTURED = ("plots", "reports")
OF_MODELS = "plots/predictions/"  # a figure per model, also of those that params.yaml no longer has
WEB = ("https://", "http://")
REPORT = "reports/report.md"


@dataclass(frozen=True)
class ChangedMetric:
    """A number of a file of metrics; None if there is none."""

    path: str
    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Link:
    path: str
    address: str
    changed: bool


@dataclass(frozen=True)
class Drawn:
    """What `make plots` wrote: the address of its upload, or PNG files by their paths."""

    upload: str | None
    pictures: list[Link]


def main(base: str, output: str, plots: str | None) -> None:
    """Write the page on the workspace against `base`, with the `plots` at a web address or in a folder."""
    folder = Path(output).parent
    files.write_text(output, page(*revisions.find(base), folder, drawn(plots, folder)))
    print(f"wrote {words.printable(output)}")


def page(base: Revision, head: Revision, folder: Path, plots: Drawn) -> str:
    """Links to files are to GitHub if the repository is there, else relative to `folder`."""
    fault = None
    try:
        comparison = changes.between(base, head)
    except UserError as error:
        fault, comparison = str(error), changes.unscored(base, head)
    return words.render(
        "review",
        "md",
        verdicts.TEMPLATES,
        **verdicts.shown(comparison, words.markdown),
        fault=fault,
        metrics=changed_metrics(base, head),
        plots=plots,
        links=links(base, head, folder),
    )


def changed_metrics(base: Revision, head: Revision) -> list[ChangedMetric]:
    """As `dvc metrics diff` has them, without the ends of intervals."""
    before, after = (_numbers(revision.read(*METRICS)) for revision in (base, head))
    places = [place for place in sorted({*before, *after}) if before.get(place) != after.get(place)]
    return [ChangedMetric(*place, before.get(place), after.get(place)) for place in places]


def _numbers(contents: dict[str, bytes]) -> dict[tuple[str, str], float]:
    """The numbers of flat records, by path and name; a file that is none has none."""
    numbers: dict[tuple[str, str], float] = {}
    for path, content in contents.items():
        try:
            record = json.loads(content)
        except ValueError:
            continue
        for name, value in record.items() if isinstance(record, dict) else ():
            if isinstance(value, int | float) and not name.endswith(INTERVAL):
                numbers[path, name] = value
    return numbers


def links(base: Revision, head: Revision, folder: Path) -> list[Link]:
    """The report and the figures of the commit at hand, those first that changed: a comment cannot hold local files."""
    repository, commit = revisions.github(), head.commit or revisions.find("HEAD")[0].commit
    changed = {file.path for file in Revision(head.name, commit).changed_since(base, *PICTURED)}
    of_none = dropped(head)
    paths = [
        path for path in head.paths(*PICTURED) if path == REPORT or (path.endswith(".png") and path not in of_none)
    ]
    return [
        Link(
            path,
            quote(f"{repository}/blob/{commit}/{path}" if repository else os.path.relpath(path, folder), ":/"),
            path in changed,
        )
        for path in sorted(paths, key=lambda path: (path not in changed, path))
    ]


def dropped(head: Revision) -> set[str]:
    """The figures of models that params.yaml does not have."""
    try:
        models = {*changes.families(changes.recorded(head, changes.PARAMS)), *TRAINED_BY_BEST}
    except UserError:  # the page says why there is no verdict
        return set()
    return {path for path in head.paths(OF_MODELS) if Path(path).stem not in models}


def drawn(plots: str | None, folder: Path) -> Drawn:
    """Raises UserError if the folder `plots` holds no PNG file; paths are relative to `folder`."""
    if plots is None or plots.startswith(WEB):
        return Drawn(quote(plots, ":/") if plots else None, [])
    paths = sorted(Path(plots).rglob("*.png"))
    if not paths:
        raise UserError(f"{plots}: holds no PNG file; `make plots` writes some to dvc_plots/png")
    pictures = [(path.relative_to(plots).as_posix(), quote(os.path.relpath(path, folder))) for path in paths]
    return Drawn(None, [Link(name, address, False) for name, address in pictures])
