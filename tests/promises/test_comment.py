"""The workflow that may comment takes the page of a pull request for data."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pace
import pytest
import rendered
from project import ROOT, environment
from ruamel.yaml import YAML

WORKFLOW = YAML(typ="safe").load((ROOT / ".github/workflows/comment.yml").read_text(encoding="utf-8"))
(STEP,) = WORKFLOW["jobs"]["comment"]["steps"]
SHA = "a" * 40
MARKER = "<!-- review of this pull request -->"
# GitHub's command, with answers from files: `gh api [--method METHOD] ... PATH ... [--input FILE]`.
GH = """#!/bin/bash
echo "$*" >> calls.txt
case "$*" in
  *PATCH*|*POST*) exit 0 ;;
  */comments*) cat answers/comments.json ;;
  */zip*) cat answers/page.zip ;;
  */artifacts*) cat answers/artifacts.json ;;
  */pulls*) cat answers/pulls.json ;;
esac
"""

pytestmark = pytest.mark.skipif(not (shutil.which("jq") and shutil.which("unzip")), reason="needs jq and unzip")


@pytest.fixture
def runner(tmp_path) -> Path:
    """A folder in which the step runs, with the answers for a pull request that has no comment yet."""
    (tmp_path / "bin").mkdir()
    gh = tmp_path / "bin/gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    (tmp_path / "answers").mkdir()
    answer(tmp_path, "pulls", [{"number": 7, "head": {"sha": "b" * 40}}, {"number": 8, "head": {"sha": SHA}}])
    answer(tmp_path, "comments", [{"id": 1, "body": f"{MARKER} a forgery", "user": {"login": "somebody"}}])
    page(tmp_path, "# page\n")
    return tmp_path


def answer(runner: Path, name: str, content: list | dict) -> None:
    (runner / f"answers/{name}.json").write_text(json.dumps(content))


def page(runner: Path, text: str, name: str = "review.md") -> None:
    path = runner / "answers/page.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    answer(runner, "artifacts", {"artifacts": [{"id": 3, "size_in_bytes": path.stat().st_size}]})


def post(runner: Path, **changes: str) -> subprocess.CompletedProcess:
    event = {"REPOSITORY": "owner/name", "RUN": "5", "OWNER": "owner", "BRANCH": "topic", "SHA": SHA}
    outer = environment(**event | changes)
    path = f"{runner / 'bin'}:{outer['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", STEP["run"]],
        cwd=runner,
        env=outer | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=pace.seconds(30),
    )


def calls(runner: Path) -> str:
    return (runner / "calls.txt").read_text()


def test_the_first_page_becomes_a_comment_on_the_pull_request_of_its_commit(runner):
    assert post(runner).returncode == 0
    assert "--method POST repos/owner/name/issues/8/comments --input comment.json" in calls(runner)


def test_a_later_page_takes_the_place_of_the_first(runner):
    own = {"id": 2, "body": f"{MARKER}\nolder", "user": {"login": "github-actions[bot]"}}
    answer(runner, "comments", [{"id": 1, "body": "by hand", "user": {"login": "somebody"}}, own])
    assert post(runner).returncode == 0
    assert "--method PATCH repos/owner/name/issues/comments/2 --input comment.json" in calls(runner)
    assert "POST" not in calls(runner)


def test_the_comment_says_where_the_page_comes_from_and_notifies_nobody(runner):
    page(runner, "# page by @somebody | $(touch evil) `touch evil` \"'\n")
    assert post(runner, BRANCH='$(touch evil)`touch evil`";').returncode == 0
    body = json.loads((runner / "comment.json").read_text())["body"]
    assert body.startswith(
        f"{MARKER}\nThe code of this pull request made this page, at {SHA}.\n\n# page by @\u200bsomebody"
    )
    assert not (runner / "evil").exists()


REFERRING = {
    "letters": r"@name owner/name#3 #12 GH-12 \@name \#12",
    "names of characters": "&commat;name &num;12 owner/name&num;3",
    "numbers of characters": "&#64;name &#0064;name &#x40;name &#35;12 &#x23;12 #&#49;2 &#71;H-12 GH&#45;12",
    "HTML": "<p>&#64name &#35;12</p> @<b></b>name #<!-- -->12 G<i></i>H-12",
    "markup": "*@name* [#12](a) ~@name~ `a`@name | @name |",
}


@pytest.mark.parametrize("text", REFERRING.values(), ids=REFERRING)
def test_a_comment_refers_to_nobody_and_nothing(text, runner):
    assert rendered.REFERENCES.search(rendered.text(text))
    page(runner, text)
    assert post(runner).returncode == 0
    body = json.loads((runner / "comment.json").read_text())["body"]
    assert rendered.REFERENCES.findall(rendered.text(body)) == []


def test_a_comment_keeps_headings_foldings_and_punctuation(runner):
    text = "## Models\n\n<details><summary>All</summary>\n\n| a&#124;b | &#60;b&#62; |\n\n</details>\n"
    page(runner, text)
    assert post(runner).returncode == 0
    assert json.loads((runner / "comment.json").read_text())["body"].endswith(text)


def test_without_an_open_pull_request_of_the_commit_nothing_is_posted(runner):
    assert post(runner, SHA="c" * 40).returncode == 0
    assert "comments" not in calls(runner)


REFUSED = {
    "too long": ("x" * 60_001, "review.md", "error: the page is too long"),
    "a flood of zeros": ("0" * 5_000_000, "review.md", "error: the page is too long"),
    "empty": ("", "review.md", "error: the page is empty"),
    "another file": ("# page", "../review.md", "error: the page is empty"),
}


@pytest.mark.parametrize(("text", "name", "message"), REFUSED.values(), ids=REFUSED)
def test_an_unfit_page_is_refused(runner, text, name, message):
    page(runner, text, name)
    done = post(runner)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == message
    assert "POST" not in calls(runner)


def test_a_number_that_is_none_is_refused(runner):
    answer(runner, "pulls", [{"number": "8/../../evil", "head": {"sha": SHA}}])
    assert post(runner).stderr == "error: the number of the pull request is none\n"


def test_a_run_without_a_page_is_refused(runner):
    answer(runner, "artifacts", {"artifacts": []})
    assert post(runner).stderr == "error: the run left no page\n"
