"""The page of a review holds verdicts, params, code, metrics and links."""

import json
import re
from pathlib import Path

import pytest
import rendered
from histories import PARAMS, commit, git

from study.__main__ import main
from study.base import files
from study.base.runtime import UserError
from study.compare import page, revisions
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


def test_verdicts_come_first(here):
    headings = re.findall(r"^## (.*)", written(), re.MULTILINE)
    assert headings == ["Verdicts", "Params and code", "Metrics", "Figures"]


def test_each_part_says_what_changed(here):
    text = written()
    assert "| cnn2 | better | " in text
    assert "| models.cnn2.dropout | 0.3 | 0.4 |\n" in text
    assert "| study/code.py | changed |\n" in text
    assert re.search(r"\| metrics/test/cnn2\.json \| roc_auc \| 0\.8\d+ \| 0\.9\d+ \| \+0\.\d+ \|", text)


REFERRING = r"@name &commat;name &#64;name \@name `@name` #12 owner/name#3 GH-12 https://a.b/issues/12 www.a.b"


def test_values_and_names_from_outside_refer_to_nobody_and_nothing(here):
    files.write_text(here / "params.yaml", json.dumps(PARAMS | {REFERRING: REFERRING}))
    for path in (f"study/{REFERRING}.py", f"plots/{REFERRING}.png", f"metrics/test/{REFERRING}.json"):
        files.write_text(here / path, json.dumps({REFERRING: 1}))
    git(here, "tag", "owner/name#3@name")
    commit(here, "referring")
    text = rendered.text(written("owner/name#3@name"))
    assert text.count("&commat;name") > 5  # as it stands, not as the character that it means
    assert rendered.REFERENCES.findall(text) == []


def test_metrics_have_no_ends_of_intervals(here):
    names = {metric.name for metric in page.changed_metrics(*revisions.find("base"))}
    assert {"roc_auc", "accuracy", "log_loss"} <= names
    assert not {"roc_auc_low", "roc_auc_high"} & names


def test_a_metric_of_one_revision_alone_has_no_change(here):
    git(here, "checkout", "--quiet", "models", "--", ".")
    assert re.search(r"\| metrics/test/cnn3\.json \| roc_auc \| – \| 0\.8\d+ \| – \|", written())


def test_a_file_that_is_no_record_has_no_metrics(here):
    (here / "metrics/validation").mkdir()
    (here / "metrics/validation/cnn2.json").write_text("[1]")
    (here / "metrics/validation/best.json").write_text("{")
    assert {metric.path for metric in page.changed_metrics(*revisions.find("base"))} == {
        "metrics/test/cnn2.json",
        "metrics/test/resnet50.json",
    }


def test_without_github_links_are_relative(here):
    assert written().partition("## Figures\n\n")[2].splitlines() == [
        "- [plots/a b(&#60;i&#62;).png](plots/a%20b%28%3Ci%3E%29.png) (changed)",
        "- [plots/ranking.png](plots/ranking.png) (changed)",
        "- [reports/report.md](reports/report.md) (changed)",
    ]


def test_figures_that_changed_come_first_and_are_marked(here):
    files.write_text(here / "plots/ranking.png", "another")
    commit(here, "another_figure")
    links = re.findall(r"^- \[(.*)\]\(\S*\)(.*)$", written("figures"), re.MULTILINE)
    assert links == [
        ("plots/ranking.png", " (changed)"),
        ("plots/a b(&#60;i&#62;).png", ""),
        ("reports/report.md", ""),
    ]


def test_links_are_relative_to_the_page(here):
    main("review", "base", "--output", "pages/of/review.md")
    assert "(../../plots/ranking.png)" in Path("pages/of/review.md").read_text(encoding="utf-8")


def test_what_a_dropped_model_left_has_no_link(here):
    for name in ("cnn2", *TRAINED_BY_BEST, "dropped"):
        files.write_text(here / f"plots/predictions/{name}.png", "content")
    commit(here, "predictions")
    assert re.findall(r"^- \[plots/predictions/(.*)\.png\]", written(), re.MULTILINE) == ["best", "cnn2", "control"]


def test_uploaded_plots_are_a_link(here):
    main("review", "base", "--plots", "https://github.com/owner/name/artifacts/7")
    assert ": [plots](https://github.com/owner/name/artifacts/7).\n" in Path("review.md").read_text(encoding="utf-8")


def test_plots_of_a_folder_are_shown_by_their_paths_from_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text("dvc_plots/png/plots/a b.png", "content")
    assert page.drawn("dvc_plots/png", Path("pages")).pictures == [
        page.Link("plots/a b.png", "../dvc_plots/png/plots/a%20b.png", changed=False)
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
    assert "\nNo verdict: " in text
    assert "| models.cnn2.dropout | 0.3 | 0.4 |\n" in text


def test_a_page_of_many_changes_ends(here):
    """A comment on GitHub holds 65,536 characters."""
    blocks = "".join(f"  {'x' * 200}{number}: {'x' * 500}\n" for number in range(120))
    (here / "params.yaml").write_text(f"models:\n  cnn2: {{dropout: 0.3, family: cnn}}\nmore:\n{blocks}")
    for number in range(120):
        (here / f"study/{'x' * 200}{number}.py").write_text("")
    text = written()
    assert len(re.findall(r"^\d+ more params changed\.$|^\d+ more files changed\.$", text, re.MULTILINE)) == 2
    assert len(text) < 60_000


def test_the_page_is_no_part_of_a_commit():
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "review.md" in ignored
