"""Where the time of `dvc repro` goes: a table by stage and kind of work."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from study.runtime import UserError

HOOK = Path(__file__).parent / "profiling"


def main() -> None:
    """Run the whole pipeline of HEAD in a clone, and print its times."""
    with tempfile.TemporaryDirectory() as name:
        clone, records = Path(name, "clone"), Path(name, "records")
        records.mkdir()
        cloned = subprocess.run(
            ["git", "clone", "--quiet", ".", str(clone)], capture_output=True, text=True, check=False
        )
        if cloned.returncode:
            raise UserError(f"git clone of this folder: {cloned.stderr.strip().splitlines()[0]}")
        unit = import_seconds()
        environment = os.environ | {"PROFILE": str(records), "PYTHONPATH": str(HOOK)}
        started = time.monotonic()
        repro = subprocess.run(["dvc", "repro", "--force"], cwd=clone, env=environment, stdout=sys.stderr, check=False)
        wall = time.monotonic() - started
        if repro.returncode:
            raise UserError(f"dvc repro ended with {repro.returncode}")
        stages = sorted(records.glob("*.json"), key=lambda path: path.stat().st_mtime)
        print(table({path.stem: json.loads(path.read_bytes()) for path in stages}, wall, unit))


def import_seconds() -> float:
    """Seconds that `import keras` takes, the least of three: the unit by which machines are compared."""
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import keras"], check=True, capture_output=True)
        seconds.append(time.monotonic() - started)
    return min(seconds)


def table(stages: dict[str, dict[str, dict[str, float]]], wall: float, unit: float) -> str:
    """Markdown: seconds on the clock and of the processors by stage, the latter by kind of work."""
    kinds = list(next(iter(stages.values())))
    lines = [f"| stage | wall s | CPU s | {' | '.join(kinds)} |", "|---|" + "---|" * (len(kinds) + 2)]
    totals = dict.fromkeys(["wall", "cpu", *kinds], 0.0)
    for stage, spent in stages.items():
        row = {clock: sum(seconds[clock] for seconds in spent.values()) for clock in ("wall", "cpu")}
        row |= {kind: seconds["cpu"] for kind, seconds in spent.items()}
        totals = {key: value + row[key] for key, value in totals.items()}
        lines.append(f"| {stage} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    lines.append("| all stages | " + " | ".join(f"{value:.1f}" for value in totals.values()) + " |")
    lines += ["", f"`dvc repro --force` took {wall:.0f} s, {wall / unit:.0f} times `import keras` ({unit:.2f} s)."]
    return "\n".join(lines)
