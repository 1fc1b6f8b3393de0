"""Records that contradict themselves give one line that names file and remedy, and never a verdict."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import histories
import pytest
from histories import SKILLS, changed_params, git

from study.__main__ import main
from study.base import files
from study.base.runtime import UserError
from study.compare import changes, revisions
from study.evaluation import image_scores
from study.report import run
from study.report.run import Search
from study.search.outcome import winner

TEST, TABLE = "metrics/test/cnn2.json", "metrics/images/cnn2.csv"


def recorded(path: str) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def edited(path: str, **values: object) -> None:
    """Give a record other values, whatever JSON allows."""
    files.write_text(path, json.dumps(recorded(path) | values))


def spread(**values: object) -> None:
    edited(TEST, spread=[recorded(TEST)["spread"][0] | values])


def reversed_rows(*models: str) -> None:
    for model in models:
        header, *rows = Path(image_scores.path(model)).read_text(encoding="utf-8").splitlines()
        files.write_text(image_scores.path(model), "\n".join([header, *reversed(rows)]) + "\n")


def repeats(*areas: float) -> None:
    """Give the repeats other areas."""
    edited(TEST, repeats=[{"seed": seed, "roc_auc": area} for seed, area in enumerate(areas)])


def lock(change: Callable[[dict], object]) -> None:
    content = json.loads(Path("dvc.lock").read_text(encoding="utf-8"))
    change(content["stages"])
    files.write_text("dvc.lock", json.dumps(content))


def written(**options: object) -> Callable[[], None]:
    return lambda: histories.write(Path(), **options)


# What is wrong, and what is said of it, even if dvc.lock lists the files as they are.
OF_FILES = {
    "an area that the images do not have": (lambda: edited(TEST, roc_auc=0.9), rf"roc_auc is 0\.9.* by {TABLE} it is"),
    "a mean that the images do not have": (lambda: edited(TEST, roc_auc_mean=0.9), rf"roc_auc_mean is .* by {TABLE} "),
    "an accuracy that the images do not have": (lambda: edited(TEST, accuracy=0.9), rf"accuracy is 0\.9.* by {TABLE} "),
    "the images of another model": (
        lambda: shutil.copy("metrics/images/best.csv", TABLE),
        rf"roc_auc is 0\.\d+, but by {TABLE} it is 0\.",
    ),
    "repeats of another area": (lambda: repeats(0.5, 0.5, 0.5), "roc_auc is .* by its first repeat it is 0.5"),
    "repeats of another mean": (
        lambda: repeats(recorded(TEST)["roc_auc"], 0.5, 0.5),
        "roc_auc_mean is .* by its repeats",
    ),
    "repeats without a spread": (lambda: edited(TEST, spread=[]), "has 3 repeats and 0 spreads"),
    "more degrees of freedom than repeats": (lambda: spread(degrees_of_freedom=8), "8 degrees of .* 3 repeats"),
    "another variance than its repeats'": (lambda: spread(raw_variance=0.1), "raw_variance is 0.1, but by its repeats"),
    "a negative variance": (lambda: spread(raw_variance=-1e-6), "raw_variance Input should be greater than or equal"),
    "a variance that is no number": (lambda: spread(sampling_variance=float("nan")), "sampling_variance Input should"),
}
OF_REVISIONS = {
    "a param of a model": (
        lambda: files.write_text("params.yaml", json.dumps(changed_params(dropout=0.4))),
        "^params.yaml of .*: models.cnn2.dropout is 0.4, but was 0.3 when train@cnn2 ran; run `dvc repro` there",
    ),
    "a param that is gone": (
        lambda: lock(lambda stages: stages["train@cnn2"]["params"]["params.yaml"].update({"models.cnn2.epochs": 3})),
        "^params.yaml of .*: models.cnn2.epochs is not set, but was 3 when train@cnn2 ran; run `dvc repro` there",
    ),
    "a param of the search": (
        lambda: files.write_text("params.yaml", json.dumps(histories.PARAMS | {"tune": {"trials": 9}})),
        "^params.yaml of .*: tune.trials is 9, but was 4 when tune ran; run `dvc repro` there",
    ),
    "a param of all stages": (
        lambda: files.write_text("params.yaml", json.dumps(histories.PARAMS | {"seed": 2})),
        "^params.yaml of .*: seed is 2, but was 1 when train@cnn2 ran; run `dvc repro` there",
    ),
    "scores that dvc.lock does not list so": (
        lambda: edited(TEST, log_loss=0.5),
        rf"^{TEST} of .*: is not the file that dvc.lock lists; run `dvc repro` there",
    ),
    "images that dvc.lock does not list so": (
        lambda: reversed_rows(*SKILLS),
        rf"^{TABLE} of .*: is not the file that dvc.lock lists; run `dvc repro` there",
    ),
    "a stage that dvc.lock does not list": (
        lambda: lock(lambda stages: stages.pop("train@cnn2")),
        r"^dvc.lock of .*: has no run of train@cnn2; run `dvc repro` there",
    ),
    "a search that dvc.lock does not list so": (
        lambda: edited(winner.FILE, trials=9),
        rf"^{winner.FILE} of .*: is not the file that dvc.lock lists; run `dvc repro` there",
    ),
}
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
OF_REVISIONS |= {
    f"a pointer of Git LFS as {path}": (
        lambda path=path: files.write_text(path, POINTER),
        rf"^{path} of .*: is a pointer of Git LFS; `git lfs pull` gets the file; ",
    )
    for path in (TEST, TABLE, winner.FILE, "params.yaml", "dvc.lock")
}
OF_REVISIONS["both sides of a merge"] = (
    lambda: files.write_text("params.yaml", "<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> other\n"),
    "^params.yaml of .*: holds both sides of a merge; resolve the conflict",
)
OF_SPLITS = {
    "the images of one model in another order": (
        lambda: reversed_rows("cnn2"),
        "are scores of different test splits .other order.; run `dvc repro`",
    ),
    "another order": (lambda: reversed_rows(*SKILLS), "has the test images in another order than "),
    "other names": (written(names=["a", "b", "z"]), "gives the classes other names than "),
    "other labels": (written(names=["a", "c", "b"]), "gives the test images other labels than "),
    "other images": (written(images=90), rf"is of another test split \(90 images\) than {TABLE} .* \(150 images\)"),
}
LISTED = OF_FILES | OF_SPLITS


@pytest.mark.parametrize("case", [*LISTED, *OF_REVISIONS])
def test_a_contradiction_gives_one_line_and_no_verdict(copy_of_history, capsys, case):
    change, message = (LISTED | OF_REVISIONS)[case]
    change()
    if case in LISTED:
        histories.lock(dict.fromkeys(SKILLS, "a model"))
    histories.commit(copy_of_history, "edited")
    for arguments in (["base"], ["base", "edited"], ["edited", "edited~1"]):
        with pytest.raises(
            UserError, match=message if arguments[0] == "base" else r"^metrics/|^params|^dvc.lock"
        ) as refused:
            main("compare", *arguments)
        assert "\n" not in str(refused.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("change", "message"), OF_FILES.values(), ids=OF_FILES)
def test_the_report_notices_what_files_of_the_working_folder_contradict(copy_of_history, change, message):
    change()
    source = run.working_folder()
    with pytest.raises(UserError, match=rf"^{TEST}: .*{message}") as refused:
        run.check(source, run.scored(source, ["cnn2", "resnet50"], source.json(winner.FILE, Search), 0.002))
    assert "`" in str(refused.value)


PARTIAL = {"files": "blob:none", "folders": "tree:0"}


@pytest.mark.parametrize("left_out", PARTIAL.values(), ids=PARTIAL)
def test_a_partial_clone_is_told_how_to_get_what_it_lacks(history, tmp_path, monkeypatch, left_out):
    git(tmp_path, "clone", "--quiet", "--bare", str(history), "origin")
    git(tmp_path / "origin", "config", "uploadpack.allowFilter", "true")
    source, clone = f"file://{tmp_path / 'origin'}", tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-checkout", f"--filter={left_out}", source, str(clone))
    monkeypatch.chdir(clone)
    with pytest.raises(UserError, match=r"^git .*; this partial clone lacks it: `git fetch --refetch --no-filter`"):
        main("compare", "base", "changed")
    git(clone, "fetch", "--quiet", "--refetch", "--no-filter")
    main("compare", "base", "changed")


WRITINGS = {
    "another number": json.dumps(histories.PARAMS).replace("0.3", "3e-1").replace('"trials": 4', '"trials": 4.0'),
    "a comment": "# a comment\n" + json.dumps(histories.PARAMS),
    "another order": json.dumps(dict(reversed(histories.PARAMS.items()))),
}


@pytest.mark.parametrize("text", WRITINGS.values(), ids=WRITINGS)
def test_the_same_params_written_in_another_way_are_no_contradiction(copy_of_history, text):
    files.write_text("params.yaml", text)
    assert not changes.between(*revisions.find("base")).changed


def test_a_search_whose_winner_best_was_not_trained_from_waits(copy_of_history):
    edited(winner.FILE, trials=9)
    lock(lambda stages: stages["tune"]["outs"].__setitem__(0, histories.out(winner.FILE)))
    best = changes.between(*revisions.find("base")).models[-1]
    assert (best.name, best.verdict) == ("best", "not run yet")


def test_a_winner_that_best_was_trained_from_alone_is_no_contradiction(copy_of_history):
    edited(winner.FILE, trials=9)
    lock(lambda stages: stages["best"]["deps"].__setitem__(0, histories.out(winner.FILE)))
    assert not changes.between(*revisions.find("base")).changed
