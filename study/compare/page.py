"""What the reviewer of a change reads, as one Markdown page that a comment on GitHub can hold."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from study.base import files
from study.base.runtime import UserError
from study.compare import changes, records, revisions, verdicts
from study.compare.revisions import Revision
from study.params.schema import TRAINED_BY_BEST
from study.report import words

PICTURED = ("plots", "reports")
OF_MODELS = "plots/predictions/"  # a figure per model, also of those that params.yaml no longer has
WEB = ("https://", "http://")
REPORT = "reports/report.md"


@dataclass(frozen=True)
class Link:
    path: str
    address: str


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
    changed = [model for model in comparison.models if model.verdict not in verdicts.QUIET]
    return words.render(
        "review",
        "md",
        verdicts.TEMPLATES,
        comparison=comparison,
        conclusion=verdicts.conclusion(comparison, words.markdown),
        fault=fault,
        changed=verdicts.table(changed, words.markdown),
        full=verdicts.full_table(comparison.models, words.markdown),
        plots=plots,
        links=links(base, head, folder),
    )


def links(base: Revision, head: Revision, folder: Path) -> list[Link]:
    """The report and the changed figures of the commit at hand: a comment cannot hold local files."""
    repository, commit = revisions.github(), head.commit or revisions.find("HEAD")[0].commit
    changed = {file.path for file in Revision(head.name, commit).changed_since(base, *PICTURED)}
    figures = {path for path in changed if path.endswith(".png")} - dropped(head)
    return [
        Link(path, quote(f"{repository}/blob/{commit}/{path}" if repository else os.path.relpath(path, folder), ":/"))
        for path in head.paths(*PICTURED)
        if path == REPORT or path in figures
    ]


def dropped(head: Revision) -> set[str]:
    """The figures of models that params.yaml does not have."""
    try:
        models = {*changes.model_names(changes.recorded(head, records.PARAMS)), *TRAINED_BY_BEST}
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
    return Drawn(None, [Link(name, address) for name, address in pictures])
