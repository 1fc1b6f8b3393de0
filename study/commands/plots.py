"""DVC's plots as one page that works offline, and as PNG files. Needs the extra `plots`; no other module does."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from study.base import files
from study.base.runtime import UserError
from study.compare import revisions
from study.report.words import printable

FOLDER = Path("dvc_plots")  # DVC's own name for it, which git ignores
PNG = FOLDER / "png"
TEMPLATE = Path(__file__).parent / "plots.html"
LIBRARIES = "{libraries}"
VEGA_LITE = "5.21"  # DVC's templates are written for version 5
PIXELS = 2  # of a PNG file, per pixel of the page
HEADER = 33  # bytes of a PNG file, before which no text may stand
TEXT = b"tEXtSoftware\0python -m study plots"
MARK = struct.pack(">I", len(TEXT) - 4) + TEXT + struct.pack(">I", zlib.crc32(TEXT))  # a chunk of text in a PNG file
MISSING = "vl-convert-python is not installed, which draws plots; run `make extras`"


def main(base: str | None) -> None:
    """Write index.html and static/ with all plots of the workspace, and png/ with those that DVC itself draws.

    With a `base`, plots show that commit as well. Raises UserError if there is no such commit or no plot, or where
    the extra is missing.
    """
    try:
        import vl_convert
    except ImportError:
        raise UserError(MISSING) from None
    if base is not None:
        revisions.find(base)
    charts = specifications(base)
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as template:
        template.write(page_template(vl_convert.javascript_bundle(vl_version=VEGA_LITE)))
        template.flush()
        dvc_plots(base, "--out", str(FOLDER), "--html-template", template.name)
    clear()
    for name, chart in charts.items():
        with files.whole(PNG / Path(name).with_suffix(".png")) as partial:
            partial.write_bytes(marked(vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE, scale=PIXELS)))
    print(f"wrote {FOLDER / 'index.html'}, and {len(charts)} of its plots to {PNG}")


def clear() -> None:
    """Delete the PNG files that an earlier call wrote, in png/ and in its folders that are no links."""
    for folder, _, names in () if PNG.is_symlink() else os.walk(PNG):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink() and path.read_bytes()[HEADER : HEADER + len(MARK)] == MARK:
                path.unlink()


def marked(png: bytes) -> bytes:
    """The image, with the mark by which `clear` knows it."""
    return png[:HEADER] + MARK + png[HEADER:]


def specifications(base: str | None) -> dict[str, dict[str, Any]]:
    """The plots that DVC draws, in Vega-Lite, by their paths. Prints a note for each plot that DVC cannot read."""
    with tempfile.TemporaryDirectory() as images:
        answer = json.loads(dvc_plots(base, "--out", images, "--json"))
    plots, faults = answer.get("data", {}), answer.get("errors", [])
    charts = {name: plot[0]["content"] for name, plot in plots.items() if plot and plot[0]["type"] == "vega"}
    if not charts:
        of_all = [f"{fault['msg']}; mend it" for fault in faults if "name" not in fault]
        raise UserError(f"dvc plots: {(of_all or ['no stage has written a plot; run `dvc repro` in the project'])[0]}")
    for fault in faults:
        plot, reason = fault.get("name", "any file"), " ".join(fault["msg"].split())
        print(printable(f"note: no plot of {plot} in {fault['rev']}: {reason}"))
    return charts


def page_template(libraries: str) -> str:
    """What `dvc plots show --html-template` fills, with the scripts that draw the plots in it."""
    return TEMPLATE.read_text(encoding="utf-8").replace(LIBRARIES, libraries)


def dvc_plots(base: str | None, *options: str) -> str:
    """What `dvc plots` prints. Raises UserError with DVC's own line if it fails."""
    command = ["show"] if base is None else ["diff", base]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "plots", *command, *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR: ")), "")
        raise UserError(f"dvc plots: {reason.removeprefix('ERROR: ') or f'exit code {done.returncode}'}")
    return done.stdout
