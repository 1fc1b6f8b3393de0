"""What the reviewer of a change reads, as one Markdown page that a comment on GitHub can hold."""

import os
from pathlib import Path
from urllib.parse import quote

from study.base import files
from study.base.runtime import UserError
from study.compare import changes, revisions, verdicts
from study.compare.revisions import Revision
from study.report import words

REPORT = "reports/report.md"


def main(base: str, output: str, plots: str | None) -> None:
    """Write the page on the workspace against `base`, with a link to the `plots` at a web address."""
    files.write_text(output, page(*revisions.find(base), Path(output).parent, plots))
    print(f"wrote {words.printable(output)}")


def page(base: Revision, head: Revision, folder: Path, plots: str | None) -> str:
    """The report is linked on GitHub if the repository is there, else relative to `folder`."""
    fault = None
    try:
        comparison = changes.between(base, head)
    except UserError as error:
        fault, comparison = str(error), changes.unscored(base, head)
    repository, commit = revisions.github(), head.commit or revisions.find("HEAD")[0].commit
    changed = [model for model in comparison.models if model.verdict not in verdicts.QUIET]
    of_files = [model for model in comparison.models if model.name != changes.THE_SEARCH]
    return words.render(
        "review",
        "md",
        verdicts.TEMPLATES,
        comparison=comparison,
        conclusion=verdicts.conclusion(comparison, words.markdown),
        fault=fault,
        changed=verdicts.table(changed, words.markdown),
        full=verdicts.full_table(of_files, words.markdown),
        plots=plots and quote(plots, ":/"),
        report=quote(f"{repository}/blob/{commit}/{REPORT}" if repository else os.path.relpath(REPORT, folder), ":/"),
    )
