"""The page of a review has the conclusion first, then changed models and params, and the rest below the fold."""

import json
import re
from pathlib import Path

import pytest
import rendered
from histories import PARAMS, changed_params, commit, git, write

from study.__main__ import main
from study.base import files
from study.compare import verdicts


@pytest.fixture
def here(copy_of_history) -> Path:
    """A workspace as of `changed`."""
    git(copy_of_history, "reset", "--quiet", "--hard", "changed")
    return copy_of_history


def written(base: str = "base") -> str:
    main("review", base)
    return Path("review.md").read_text(encoding="utf-8")


def folded(text: str) -> dict[str, str]:
    """What stands below the fold, by its summary; "" is what stands above."""
    above, *parts = text.split("<details><summary>")
    return {"": above} | {part.partition("</summary>")[0]: part for part in parts}


def test_the_conclusion_comes_first_then_changed_models_and_params(here):
    above, models, files = folded(written()).items()
    assert re.match(r"# resnet50 is worse by 0\.\d{4}; cnn2 is better by 0\.\d{4}\.\n", above[1])
    assert re.findall(r"^\| (\S+) \|", above[1], re.MULTILINE) == [
        *("model", "cnn2", "resnet50"),
        *("param", "models.cnn2.dropout"),
    ]
    assert "| models.cnn2.dropout | 0.3 | 0.4 |\n" in above[1]
    assert models[0] == "All models, and what their files score"
    assert files[0] == "Code (2 files changed), report and plots"
    assert "\nstudy/code.py (changed), study/new&#124;&#60;b&#62;.py (added)\n" in files[1]


def test_below_the_fold_each_model_has_the_scores_of_its_files(here):
    rows = [
        line.strip("| ").split(" | ")
        for line in folded(written())["All models, and what their files score"].splitlines()
        if line.startswith("| ")
    ]
    assert [row[0] for row in rows] == ["model", "cnn2", "resnet50", "best"]
    assert rows[0][4:] == verdicts.CONTEXT
    chance, areas, difference, accuracies = rows[1][4:]
    assert re.fullmatch(r"\d+%", chance)
    assert re.fullmatch(r"0\.\d{4} → 0\.\d{4}", areas)
    assert re.fullmatch(r"\+0\.\d{4} \[\+0\.\d{4}, \+0\.\d{4}\]", difference)
    assert re.fullmatch(r"0\.\d{4} → 0\.\d{4}", accuracies)


REFERRING = r"@name &commat;name &#64;name \@name `@name` #12 owner/name#3 GH-12 https://a.b/issues/12 www.a.b"


def test_values_and_names_from_outside_refer_to_nobody_and_nothing(here):
    files.write_text(here / "params.yaml", json.dumps(changed_params(dropout=0.4) | {REFERRING: REFERRING}))
    files.write_text(here / f"study/{REFERRING}.py", "content")
    git(here, "tag", "owner/name#3@name")
    commit(here, "referring")
    text = rendered.text(written("owner/name#3@name"))
    assert text.count("&commat;name") == 3  # as it stands, not as the character that it means
    assert rendered.REFERENCES.findall(text) == []


def test_the_search_has_a_row_above_the_fold_and_no_files_below_it(here):
    git(here, "checkout", "--quiet", "searched_better", "--", ".")
    above, below = list(folded(written("searched")).values())[:2]
    assert above.startswith("# the search is better by 0.0100")
    assert re.search(r"^\| the search \| better \|", above, re.MULTILINE)
    assert "the search" not in below


def test_the_page_holds_no_markup_from_outside(here):
    git(here, "checkout", "--quiet", "hostile", "--", ".")
    text = written()
    assert re.findall(r"<(?!/?details>|/?summary>)|@(?!\u200b)|\x1b", text) == []
    assert {line.count("|") for line in text.splitlines() if line.startswith("| models.")} == {4}


MODELS = [f"cnn{number}" for number in range(8)]
UNCHANGED = {
    "the same bytes": (0, "# No model changed."),
    "other seeds": (9, "# Nothing changed that seeds do not explain;"),
}


@pytest.mark.parametrize(("seed", "conclusion"), UNCHANGED.values(), ids=UNCHANGED)
def test_a_page_on_which_nothing_changed_has_at_most_50_lines(here, seed, conclusion):
    """Of eight models."""
    params = PARAMS | {"models": {name: {"family": "cnn"} for name in MODELS}}
    for tag, each in (("eight", 0), ("again", seed)):
        write(here, dict.fromkeys(MODELS, 1.0) | {"best": 1.4}, params=params, first_seed=each)
        commit(here, tag)
    lines = written("eight").splitlines()
    assert lines[0].startswith(conclusion)
    assert len(lines) <= 50


def linked(*options: str) -> list[str]:
    main("review", "base", *options)
    path = Path(options[options.index("--output") + 1] if "--output" in options else "review.md")
    return re.findall(r"\]\(([^)]*)\)", path.read_text(encoding="utf-8"))


def test_without_github_the_link_to_the_report_is_relative_to_the_page(here):
    assert linked() == ["reports/report.md"]
    assert linked("--output", "pages/of/review.md") == ["../../reports/report.md"]


def test_on_github_the_link_to_the_report_names_the_commit(here):
    git(here, "remote", "add", "origin", "git@github.com:owner/name.git")
    head = git(here, "rev-parse", "HEAD")
    assert linked() == [f"https://github.com/owner/name/blob/{head}/reports/report.md"]


def test_uploaded_plots_are_a_link(here):
    assert linked("--plots", "https://github.com/owner/name/artifacts/7 (1)")[1:] == [
        "https://github.com/owner/name/artifacts/7%20%281%29"
    ]


@pytest.mark.parametrize("base", ["another_split", "no_repeats", "no_records"])
def test_a_base_that_cannot_be_compared_leaves_the_other_parts(here, base):
    text = written(base)
    assert text.startswith("# No verdict\n")
    assert "| models.cnn2.dropout | 0.3 | 0.4 |\n" in text


def test_a_page_of_many_changes_ends(here):
    """A comment on GitHub holds 65,536 characters."""
    blocks = "".join(f"  {'x' * 200}{number}: {'x' * 500}\n" for number in range(120))
    (here / "params.yaml").write_text(f"models:\n  cnn2: {{dropout: 0.3, family: cnn}}\nmore:\n{blocks}")
    for number in range(120):
        (here / f"study/{'x' * 200}{number}.py").write_text("")
    text = written()
    assert len(re.findall(r"^\d+ more params changed\.$| and \d+ more\.$", text, re.MULTILINE)) == 2
    assert len(text) < 60_000


def test_the_page_is_no_part_of_a_commit():
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "review.md" in ignored
