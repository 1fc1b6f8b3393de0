"""verify [REF]: is the committed state reproducible?

Without REF: run the whole pipeline twice, in two clones of HEAD at two paths, with other hash seeds, locales and time
zones; fail, and name each file and its stage, unless both give the same bytes. With REF: run it once and compare each
model with what REF records, as `python -m study compare` does. Another processor is like another seed: the change may
be as large as seeds make it. Fail if it is larger, and if a model is no longer scored.
"""

import contextlib
import filecmp
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from study.base.runtime import UserError  # noqa: E402
from study.compare import changes, revisions  # noqa: E402
from study.compare.changes import ChangedModel  # noqa: E402
from study.report import words  # noqa: E402
from study.training.arithmetic import arithmetic  # noqa: E402

WORLDS = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
)
LEVEL = 0.0001  # of the adjusted p value: that of verdicts would fail one run in twenty; see docs/methods.md
HEADER = ["model", "mean ROC-AUC", "change", "standard deviations", "p", "verdict"]


def main(ref: str | None = None) -> None:
    if git(ROOT, "status", "--porcelain", "--untracked-files=no"):
        sys.exit("error: the working tree has changes that HEAD lacks; commit or stash them first")
    base = revision(ref) if ref else None
    with tempfile.TemporaryDirectory() as folder:
        clones = [Path(folder) / "one", Path(folder) / "another" / "path"]
        if base:
            clone(clones[0])
            run_stages(clones[0], WORLDS[0])
            return compare(base, clones[0])
        for each, world in zip(clones, WORLDS, strict=True):
            clone(each)
            run_stages(each, world)
        differing = differences(*clones)
        recorded = differences(ROOT, clones[0])
    for name, stage in differing:
        print(f"{name} of stage {stage} differs between the two runs")
    print(f"files that differ from the committed run (other processors round otherwise): {len(recorded)}")
    if differing:
        print(f"what decides the arithmetic of both runs:\n{described_arithmetic()}")
        sys.exit(f"error: {len(differing)} files differ between two runs of the same commit")
    print("two runs gave the same bytes: every output and dvc.lock")


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        sys.exit(f"error: git {command[0]} in {folder}: {reason[0]}")
    return done.stdout


def revision(ref: str) -> revisions.Revision:
    """The commit of this name; in a clone the name may be unknown."""
    with contextlib.chdir(ROOT), one_line_errors():
        return revisions.find(ref, "HEAD")[0]


@contextlib.contextmanager
def one_line_errors():
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")


def clone(folder: Path) -> None:
    """A clone of HEAD at `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(ROOT, "clone", "--quiet", str(ROOT), str(folder))


def run_stages(folder: Path, world: dict[str, str]) -> None:
    """`dvc repro --force` of all stages in a clone."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")} | world
    done = subprocess.run(["dvc", "repro", "--force"], cwd=folder, env=environment, check=False)
    if done.returncode:
        sys.exit(f"error: dvc repro ended with {done.returncode}")


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


def compare(base: revisions.Revision, folder: Path) -> None:
    """Say how far each model of the run in `folder` is from what `base` records."""
    with contextlib.chdir(folder), one_line_errors():
        models = changes.between(base, revisions.Revision("this run", None)).models
    print(f"{base.title} → this run\n\n{words.columns([HEADER, *map(cells, models)])}\n")
    if any(model.pair for model in models):
        print(f"{base.title} does not say what decided its arithmetic; here it was\n{described_arithmetic()}")
    faults = {
        "further away than seeds explain": [model.name for model in models if is_apart(model)],
        "no longer made": [model.name for model in models if model.verdict == changes.GONE],
    }
    if any(faults.values()):
        sys.exit("error: " + "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names))
    print(f"no model is further away than seeds explain (adjusted p < {LEVEL})")


def is_apart(model: ChangedModel) -> bool:
    """Whether the model changed by more than another seed explains. Of one that was trained once, nobody knows."""
    answer = model.pair and model.pair.retrained
    return answer is not None and answer.p < LEVEL


def cells(model: ChangedModel) -> list[str]:
    """As the table shows them."""
    means = [f"{scored.test['roc_auc_mean']:.4f}" if scored else "–" for scored in (model.before, model.after)]
    shown = [model.name, " → ".join(means)]
    if model.pair is None or model.pair.retrained is None:  # nothing to compare
        return [*shown, "", "", "", model.verdict]
    answer, deviation = model.pair.retrained, model.pair.deviation
    return [
        *shown,
        f"{answer.value:+.4f}",
        f"{answer.value / deviation if deviation else 0:+.1f}",
        f"{answer.p:.4f}",
        "FURTHER AWAY" if is_apart(model) else "like another seed",
    ]


def described_arithmetic() -> str:
    """What decides how this machine rounds, a line for each kind."""
    lines = []
    for kind, value in arithmetic().items():
        named = value.items() if isinstance(value, dict) else [("", value)]
        shown = " ".join(f"{name}={each}" if name else each for name, each in named)
        lines += textwrap.wrap(f"{kind}: {shown or '-'}", 118, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


if __name__ == "__main__":
    main(*filter(None, sys.argv[1:]))
