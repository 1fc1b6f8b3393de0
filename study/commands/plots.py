"""DVC's plots as one page that works offline. Needs the extra `plots`; no other module does."""

import subprocess
import sys
import tempfile
from pathlib import Path

from study.base.runtime import UserError
from study.compare import revisions
from study.report.words import printable

FOLDER = "dvc_plots"  # DVC's own name for it, which git ignores
TEMPLATE = Path(__file__).parent / "plots.html"
LIBRARIES = "{libraries}"
VEGA_LITE = "5.21"  # DVC's templates are written for version 5
MISSING = "vl-convert-python is not installed, which draws plots; run `make extras`"
NOTHING = "it can read no plot; run `dvc repro` in the project"


def main(base: str | None) -> None:
    """Write index.html and static/ with all plots of the workspace and, with a `base`, of that commit as well.

    Raises UserError if there is no such commit or no plot, or if the extra is missing.
    """
    try:
        import vl_convert
    except ImportError:
        raise UserError(MISSING) from None
    if base is not None:
        revisions.find(base)
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as template:
        template.write(page_template(vl_convert.javascript_bundle(vl_version=VEGA_LITE)))
        template.flush()
        draw(base, "--out", FOLDER, "--html-template", template.name)
    print(f"wrote {FOLDER}/index.html")


def page_template(libraries: str) -> str:
    """What `dvc plots show --html-template` fills, with the scripts that draw the plots in it."""
    return TEMPLATE.read_text(encoding="utf-8").replace(LIBRARIES, libraries)


def draw(base: str | None, *options: str) -> None:
    """Run `dvc plots`, and print what it warns of. Raises UserError with DVC's own line if it wrote no page."""
    command = ["show"] if base is None else ["diff", base]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "plots", *command, *options], capture_output=True, text=True, check=False
    )
    lines = [printable(line) for line in done.stderr.splitlines() if line]
    if done.returncode or not done.stdout.strip():  # it prints the address of the page
        reason = next((line for line in lines if line.startswith("ERROR: ")), NOTHING)
        raise UserError(f"dvc plots: {reason.removeprefix('ERROR: ')}")
    for line in lines:
        print(f"note: {line}")
