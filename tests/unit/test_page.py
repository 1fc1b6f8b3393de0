"""The page of a review has the conclusion first, then changed models and params, and the rest below the fold."""

import json
import re
from pathlib import Path

import pytest
import rendered
from histories import PARAMS, changed_params, commit, git, write

from study.__main__ import main
from study.base import files
from study.base.runtime import UserError
from study.compare import page, verdicts
from study.params.schema import TRAINED_BY_BEST


@pytest.fixture
def here(copy_of_history) -> Path:
    """A workspace as of `changed`, with two figures in its commit."""
    git(copy_of_history, "reset", "--quiet", "--hard", "changed")
    for name in ("plots/ranking.png", "plots/a b(<i>).png", "plots/roc.csv", "reports/report.md"):
        files.write_text(copy_of_history / name, "content")
    commit(copy_of_history, "figures")
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
    assert files[0] == "Code (2 files changed), report and changed figures"
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
    for path in (f"study/{REFERRING}.py", f"plots/{REFERRING}.png"):
        files.write_text(here / path, "content")
    git(here, "tag", "owner/name#3@name")
    commit(here, "referring")
    text = rendered.text(written("owner/name#3@name"))
    assert text.count("&commat;name") > 3  # as it stands, not as the character that it means
    assert rendered.REFERENCES.findall(text) == []


MODELS = [f"cnn{number}" for number in range(8)]
UNCHANGED = {
    "the same bytes": (0, "# No model changed."),
    "other seeds": (9, "# Nothing changed that seeds do not explain;"),
}


@pytest.mark.parametrize(("seed", "conclusion"), UNCHANGED.values(), ids=UNCHANGED)
def test_a_page_on_which_nothing_changed_has_at_most_50_lines(here, seed, conclusion):
    """Of eight models whose figures all changed."""
    params = PARAMS | {"models": {name: {"family": "cnn"} for name in MODELS}}
    for tag, each in (("eight", 0), ("again", seed)):
        write(here, dict.fromkeys(MODELS, 1.0) | {"best": 1.4}, params=params, first_seed=each)
        for name in MODELS:
            files.write_text(here / f"plots/predictions/{name}.png", tag)
        commit(here, tag)
    lines = written("eight").splitlines()
    assert lines[0].startswith(conclusion)
    assert len(lines) <= 50


def test_without_github_links_are_relative(here):
    assert written().splitlines()[-4] == (
        "[plots/a b(&#60;i&#62;).png](plots/a%20b%28%3Ci%3E%29.png), [plots/ranking.png](plots/ranking.png), "
        "[reports/report.md](reports/report.md)"
    )


def test_figures_that_did_not_change_have_no_link(here):
    files.write_text(here / "plots/ranking.png", "another")
    commit(here, "another_figure")
    assert linked("figures") == ["plots/ranking.png", "reports/report.md"]


def linked(base: str = "base") -> list[str]:
    return re.findall(r"\[([^]]*)\]\(", written(base))


def test_links_are_relative_to_the_page(here):
    main("review", "base", "--output", "pages/of/review.md")
    assert "(../../plots/ranking.png)" in Path("pages/of/review.md").read_text(encoding="utf-8")


def test_what_a_dropped_model_left_has_no_link(here):
    for name in ("cnn2", *TRAINED_BY_BEST, "dropped"):
        files.write_text(here / f"plots/predictions/{name}.png", "content")
    commit(here, "predictions")
    names = [Path(path).stem for path in linked() if path.startswith("plots/predictions/")]
    assert names == ["best", "cnn2", "control"]


def test_uploaded_plots_are_a_link(here):
    main("review", "base", "--plots", "https://github.com/owner/name/artifacts/7")
    assert ": [plots](https://github.com/owner/name/artifacts/7).\n" in Path("review.md").read_text(encoding="utf-8")


def test_plots_of_a_folder_are_shown_by_their_paths_from_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text("dvc_plots/png/plots/a b.png", "content")
    assert page.drawn("dvc_plots/png", Path("pages")).pictures == [
        page.Link("plots/a b.png", "../dvc_plots/png/plots/a%20b.png")
    ]


def test_a_folder_without_plots_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none: holds no PNG file; `make plots` writes some to dvc_plots/png$"):
        page.drawn(str(tmp_path / "none"), tmp_path)


def test_on_github_links_name_the_commit(here):
    git(here, "remote", "add", "origin", "git@github.com:owner/name.git")
    head = git(here, "rev-parse", "HEAD")
    assert f"(https://github.com/owner/name/blob/{head}/plots/a%20b%28%3Ci%3E%29.png)" in written()


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
