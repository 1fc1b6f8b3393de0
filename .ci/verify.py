"""verify [REF]: is the committed state reproducible?

Without REF: run the whole pipeline twice, in two clones of HEAD at two paths, with other hash seeds, locales and time
zones; fail, and name each file and its stage, unless both give the same bytes. With REF: run it once and say how far
each model's test scores are from those that REF records; fail where two 95 % intervals of a ROC-AUC do not overlap,
and where a model is no longer scored. Where the same code and params lead the search to another winner, by
rounding, `best` is trained again from the winner that REF records, so that like is compared with like.
"""

import filecmp
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
WORLDS = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
)


def main(ref: str | None = None) -> None:
    if git(ROOT, "status", "--porcelain", "--untracked-files=no"):
        sys.exit("error: the working tree has changes that HEAD lacks; commit or stash them first")
    if ref and subprocess.run(["git", "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}"], cwd=ROOT).returncode:
        sys.exit(f"error: {ref} is no commit of this repository")
    with tempfile.TemporaryDirectory() as folder:
        clones = [Path(folder) / "one", Path(folder) / "another" / "path"]
        if ref:
            clone(clones[0])
            run_stages(clones[0], WORLDS[0])
            if take_winner(ref, clones[0]):
                run_stages(clones[0], WORLDS[0], "best")
            return compare_metrics(ref, clones[0])
        for each, world in zip(clones, WORLDS, strict=True):
            clone(each)
            run_stages(each, world)
        differing = differences(*clones)
        recorded = differences(ROOT, clones[0])
    for name, stage in differing:
        print(f"{name} of stage {stage} differs between the two runs")
    print(f"files that differ from the committed run (other processors round otherwise): {len(recorded)}")
    if differing:
        sys.exit(f"error: {len(differing)} files differ between two runs of the same commit")
    print("two runs gave the same bytes: every output and dvc.lock")


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        sys.exit(f"error: git {command[0]} in {folder}: {reason[0]}")
    return done.stdout


def clone(folder: Path) -> None:
    """A clone of HEAD at `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(ROOT, "clone", "--quiet", str(ROOT), str(folder))


def run_stages(folder: Path, world: dict[str, str], *only: str) -> None:
    """`dvc repro --force` in a clone, of all stages or of those named and no other."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")} | world
    chosen = ["--single-item", *only] if only else []
    done = subprocess.run(["dvc", "repro", "--force", *chosen], cwd=folder, env=environment, check=False)
    if done.returncode:
        sys.exit(f"error: dvc repro ended with {done.returncode}")


def take_winner(ref: str, folder: Path) -> bool:
    """Put the winner that REF records into `folder`, if the same code and params chose another there."""
    if git(ROOT, "diff", "--name-only", ref, "HEAD", "--", "params.yaml", "dvc.yaml", "stages", "study"):
        return False
    path = folder / "metrics/tune.json"
    content = git(ROOT, "show", f"{ref}:metrics/tune.json")
    recorded, found = (json.loads(text)["winner"][0] for text in (content, path.read_text(encoding="utf-8")))
    if all(recorded[key] == found[key] for key in ("model", "block")):
        return False
    scored = json.loads((folder / "metrics/test/best.json").read_text(encoding="utf-8"))
    for whose, tuned in (("here", found), (f"in {ref}", recorded)):
        print(f"winner {whose}: {tuned['model']} {tuned['values']}, validation {tuned['validation_roc_auc']:.6f}")
    print(f"test ROC-AUC of the winner here: {scored['roc_auc']:.6f}; next, that of the other", flush=True)
    path.write_text(content, encoding="utf-8")
    return True


def differences(one: Path, other: Path) -> list[tuple[str, str]]:
    """Files that are not the same in both, with their stages, by the hashes in dvc.lock; dvc.lock itself last."""
    locks = [YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8")) for folder in (one, other)]
    hashes = [
        {(out["path"], stage): out["md5"] for stage, record in lock["stages"].items() for out in record["outs"]}
        for lock in locks
    ]
    changed = [key for key in sorted({*hashes[0], *hashes[1]}) if hashes[0].get(key) != hashes[1].get(key)]
    found = [(name, stage) for path, stage in changed for name in differing_files(path, one, other)]
    if (one / "dvc.lock").read_bytes() != (other / "dvc.lock").read_bytes():
        found.append(("dvc.lock", "all"))
    return found


def differing_files(path: str, one: Path, other: Path) -> list[str]:
    """The files in the directory `path` that are not the same in both; `path` itself, if it is a file."""
    names = {
        str(file.relative_to(folder))
        for folder in (one, other)
        for file in (folder / path).rglob("*")
        if file.is_file()
    }
    _, differing, only_in_one = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(differing + only_in_one) or [path]


def compare_metrics(ref: str, folder: Path) -> None:
    """Say how far the test scores of each model in `folder` are from what REF records."""
    paths = [Path(line) for line in git(ROOT, "ls-tree", "-r", "--name-only", ref, "metrics/test/").splitlines()]
    if not paths:
        sys.exit(f"error: {ref} records no metrics/test/*.json")
    apart, missing = [], []
    for path in paths:
        if not (folder / path).is_file():
            print(f"{path}: recorded by {ref}, NO LONGER MADE")
            missing.append(path.stem)
            continue
        recorded = json.loads(git(ROOT, "show", f"{ref}:{path}"))
        found = json.loads((folder / path).read_text(encoding="utf-8"))
        low, high = recorded["roc_auc_low"], recorded["roc_auc_high"]
        overlap = low <= found["roc_auc_high"] and found["roc_auc_low"] <= high
        distance = {score: found[score] - recorded[score] for score in ("roc_auc", "accuracy", "log_loss")}
        within = low <= found["roc_auc"] <= high
        verdict = (
            "the same as" if found == recorded else "within" if within else "overlaps" if overlap else "APART FROM"
        )
        print(
            f"{path}: {found['roc_auc']:.6f} ({distance['roc_auc']:+.6f}) {verdict} [{low:.6f}, {high:.6f}]; "
            f"accuracy {distance['accuracy']:+.4f}, log loss {distance['log_loss']:+.4f}"
        )
        if not overlap:
            apart.append(path.stem)
    faults = {"interval apart from the recorded one": apart, "no longer made": missing}
    if apart or missing:
        sys.exit("error: " + "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names))


if __name__ == "__main__":
    main(*filter(None, sys.argv[1:]))
