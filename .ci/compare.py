"""compare REF: fail if a test ROC-AUC in the working tree lies outside the interval that REF's metrics record."""

import json
import subprocess
import sys
from pathlib import Path


def main(ref: str) -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", ref, "metrics/test/"], capture_output=True, text=True, check=True
    )
    paths = [Path(line) for line in listed.stdout.splitlines()]
    if not paths:
        sys.exit(f"error: {ref} records no metrics/test/*.json")
    failed = []
    for path in paths:
        shown = subprocess.run(["git", "show", f"{ref}:{path}"], capture_output=True, text=True, check=True)
        recorded, found = json.loads(shown.stdout), json.loads(path.read_text(encoding="utf-8"))
        within = recorded["roc_auc_low"] <= found["roc_auc"] <= recorded["roc_auc_high"]
        interval = f"[{recorded['roc_auc_low']:.6f}, {recorded['roc_auc_high']:.6f}]"
        equal = " the same bytes" if json.dumps(recorded) == json.dumps(found) else ""
        print(f"{path}: {found['roc_auc']:.6f} {'within' if within else 'OUTSIDE'} {interval}{equal}")
        if not within:
            failed.append(path.stem)
    if failed:
        sys.exit(f"error: outside the recorded interval: {', '.join(failed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
