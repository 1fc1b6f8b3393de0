"""verify [REF]: is the committed state reproducible?

Without REF: run the whole pipeline twice, in two clones of HEAD at two paths, with other hash seeds, locales and time
zones; fail, and name each file and its stage, unless both give the same bytes. With REF: run it once and compare each
model with what REF records, as `python -m study compare` does. Another processor is like another seed: the change may
be as large as seeds make it. Fail if it is larger, and if a model is no longer scored. If the same code and
params lead the search to another winner, by rounding, `best` is trained again from the winner that REF records, so that
like is compared with like.
"""

import contextlib
import filecmp
import json
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
from study.report.differences import Pair  # noqa: E402
from study.training.arithmetic import arithmetic  # noqa: E402

WORLDS = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
)
# A model fails that is so many standard deviations away. If its own seeds were measured, perhaps by few repeats, its
# p value is below LEVEL as well. A loan has no such test: its p value counts how well the lender's noise is known, and
# nobody knows how alike the two are. docs/methods.md says how seldom a model fails by chance.
LIMIT = 6
LEVEL = 0.001
HEADER = ["model", "mean ROC-AUC", "change", "standard deviations", "verdict", "change of accuracy"]


def main(ref: str | None = None) -> None:
    if git(ROOT, "status", "--porcelain", "--untracked-files=no"):
        sys.exit("error: the working tree has changes that HEAD lacks; commit or stash them first")
    base = revision(ref) if ref else None
    with tempfile.TemporaryDirectory() as folder:
        clones = [Path(folder) / "one", Path(folder) / "another" / "path"]
        if base:
            clone(clones[0])
            run_stages(clones[0], WORLDS[0])
            if take_winner(base, clones[0]):
                run_stages(clones[0], WORLDS[0], "best")
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


def run_stages(folder: Path, world: dict[str, str], *only: str) -> None:
    """`dvc repro --force` in a clone, of all stages or of those named and no other."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")} | world
    chosen = ["--single-item", *only] if only else []
    done = subprocess.run(["dvc", "repro", "--force", *chosen], cwd=folder, env=environment, check=False)
    if done.returncode:
        sys.exit(f"error: dvc repro ended with {done.returncode}")


def take_winner(base: revisions.Revision, folder: Path) -> bool:
    """Put the winner that `base` records into `folder`, if the same code and params chose another there."""
    if git(folder, "diff", "--name-only", base.commit, "HEAD", "--", "params.yaml", "dvc.yaml", "stages", "study"):
        return False
    path = folder / "metrics/tune.json"
    content = git(folder, "show", f"{base.commit}:metrics/tune.json")
    recorded, found = (json.loads(text) for text in (content, path.read_text(encoding="utf-8")))
    if all(recorded[key] == found[key] for key in ("model", "block")):
        return False
    scored = json.loads((folder / "metrics/test/best.json").read_text(encoding="utf-8"))
    for whose, tuned in (("here", found), (f"in {base.title}", recorded)):
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


def compare(base: revisions.Revision, folder: Path) -> None:
    """Say how far each model of the run in `folder` is from what `base` records."""
    with contextlib.chdir(folder), one_line_errors():
        models = changes.between(base, revisions.Revision("this run", None)).models
    print(f"{base.title} → this run\n\n{words.columns([HEADER, *map(cells, models)])}\n")
    for model in models:
        if note := loan(model):
            print(f"† {model.name}: {note}")
    if any(model.pair for model in models):
        print(f"{base.title} does not say what decided its arithmetic; here it was\n{described_arithmetic()}")
    faults = {
        "further away than seeds explain": [model.name for model in models if is_apart(model)],
        "no longer made": [model.name for model in models if model.verdict == changes.GONE],
    }
    if any(faults.values()):
        sys.exit("error: " + "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names))
    print(f"no model is further away than seeds explain, {LIMIT} standard deviations")


def is_apart(model: ChangedModel) -> bool:
    """Whether the model changed by more than another seed explains."""
    if model.pair is None or abs(distance(model.pair)) <= LIMIT:
        return False
    return bool(loan(model)) or model.pair.retrained_adjusted_p < LEVEL


def loan(model: ChangedModel) -> str:
    """Why it is not known what another seed does to this very model; empty where it was measured."""
    if model.pair and model.pair.retrained is None:
        return "no training was repeated, so the standard deviation counts the sampling error alone"
    lenders = [training.noise.borrowed for training in model.trainings if training.noise and training.noise.borrowed]
    return f"trained once, so its seed variance is estimated from {lenders[0]}" if lenders else ""


def distance(pair: Pair) -> float:
    """How far apart the two runs are, in standard deviations."""
    answer = pair.retrained or pair.shipped
    return answer.value / answer.deviation if answer.deviation else 0.0


def cells(model: ChangedModel) -> list[str]:
    """As the table shows them."""
    means = [f"{scored.test['roc_auc_mean']:.4f}" if scored else "–" for scored in (model.before, model.after)]
    if model.pair is None:  # gone, new or the same bytes: nothing to compare
        return [model.name, " → ".join(means), "", "", model.verdict, ""]
    return [
        model.name,
        " → ".join(means),
        f"{(model.pair.retrained or model.pair.shipped).value:+.4f}",
        f"{distance(model.pair):+.1f}" + (" †" if loan(model) else ""),
        "FURTHER AWAY" if is_apart(model) else "like another seed",
        f"{model.pair.accuracy.value:+.4f}",
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
