"""A revision's files are read from git, or from the workspace."""

import pytest
from histories import git

from study.base.runtime import UserError
from study.compare import revisions
from study.compare.revisions import ChangedFile

NAMES = {
    "branch": "main",
    "tag": "changed",
    "relative": "changed~1",
    "branch with a pipe": "a|branch",
    "experiment": "lone-exp",
    "full name of an experiment": f"refs/exps/ab/{'c' * 38}/lone-exp",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_revision_is_found_by_name(here, name):
    tag = {"main": "base", "changed~1": "base"}.get(name, "changed")
    assert revisions.find(name)[0].commit == git(here, "rev-parse", tag)


def test_a_revision_is_found_by_a_short_hash(here):
    commit = git(here, "rev-parse", "changed")
    assert revisions.find(commit[:8])[0].commit == commit


def test_of_experiments_of_one_name_that_from_head_is_meant(here):
    assert revisions.find("twin-exp")[0].commit == git(here, "rev-parse", "comment")


UNKNOWN = {
    "unknown": ("nosuch", "^nosuch: is no revision of this repository; allowed: a commit, branch, tag or experiment"),
    "a file": ("HEAD:params.yaml", "^HEAD:params.yaml: is no revision"),
    "an option": ("--upload-pack=x", "^--upload-pack=x: is no revision"),
    "empty": ("", "^an empty name: is no name of a revision"),
    "two lines": ("HEAD\nHEAD", r"^HEAD\\nHEAD: is no name of a revision"),
    "control character": ("\x1b[31m", r"^\\x1b\[31m: is no name of a revision"),
    "experiments from other commits": ("foreign-exp", "^foreign-exp: is the name of 2 experiments; give the hash"),
}


@pytest.mark.parametrize(("name", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_name_of_no_revision_is_refused(here, name, message):
    with pytest.raises(UserError, match=message):
        revisions.find(name)


def test_outside_of_a_repository_git_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"^git rev-parse: not a git repository .*; run it in a clone$"):
        revisions.find("HEAD")


def test_a_repository_of_another_user_is_refused_with_the_remedy_that_git_names(copy_of_history, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(copy_of_history))
    remedy = f"`git config --global --add safe.directory {copy_of_history}`"
    with pytest.raises(UserError) as error:
        revisions.find("HEAD")
    assert str(error.value).endswith(f"dubious ownership in repository at '{copy_of_history}'; {remedy}")


def test_without_git_it_is_git_that_is_missing(here, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="^git is not installed, or its folder is not in PATH; install it$"):
        revisions.find("HEAD")


def test_a_damaged_repository_is_no_lack_of_a_clone(copy_of_history):
    (copy_of_history / ".git/config").write_text("[core")
    with pytest.raises(UserError, match="^git rev-parse: bad config line") as error:
        revisions.find("HEAD")
    assert "clone" not in str(error.value)


def test_a_bare_clone_has_no_workspace(history, tmp_path, monkeypatch):
    git(tmp_path, "clone", "--quiet", "--bare", str(history), "bare")
    monkeypatch.chdir(tmp_path / "bare")
    with pytest.raises(UserError, match="^HEAD is not given, and this is a bare repository"):
        revisions.find("base")


def test_files_of_a_commit_are_its_bytes(here):
    base, changed = revisions.find("base", "changed")
    assert base.read("study", "dvc.lock", "nothing").keys() == {"study/code.py", "dvc.lock"}
    assert changed.read("study") == {"study/code.py": b"# another comment\n", "study/new|<b>.py": b""}


def test_files_of_the_workspace_are_those_on_disk(copy_of_history):
    (copy_of_history / "study/code.py").write_bytes(b"edited")
    _, workspace = revisions.find("base")
    assert workspace.read("study", "nothing") == {"study/code.py": b"edited"}


def test_files_that_two_commits_do_not_share_are_named(here):
    base, changed = revisions.find("base", "changed")
    edited, new = "study/code.py", "study/new|<b>.py"
    assert changed.changed_since(base, "study") == [ChangedFile(edited, "changed"), ChangedFile(new, "added")]
    assert base.changed_since(changed, "study") == [ChangedFile(edited, "changed"), ChangedFile(new, "removed")]


def test_a_new_file_of_the_workspace_is_a_change_before_git_tracks_it(copy_of_history):
    (copy_of_history / "study/untracked.py").write_text("")
    (copy_of_history / "study/code.py").unlink()
    base, workspace = revisions.find("base")
    assert workspace.changed_since(base, "study") == [
        ChangedFile("study/code.py", "removed"),
        ChangedFile("study/untracked.py", "added"),
    ]


REMOTES = {
    "https": ("https://github.com/owner/name.git", "https://github.com/owner/name"),
    "https with a token": ("https://x:secret@github.com/owner/name", "https://github.com/owner/name"),
    "ssh": ("git@github.com:owner/na.me.git", "https://github.com/owner/na.me"),
    "ssh address": ("ssh://git@github.com/owner/name", "https://github.com/owner/name"),
    "elsewhere": ("https://git.example.org/owner/name.git", None),
    "a name that ends so": ("https://evilgithub.com/owner/name", None),
    "markup": ("https://github.com/owner/<b>", None),
}


@pytest.mark.parametrize(("url", "address"), REMOTES.values(), ids=REMOTES)
def test_github_is_known_by_the_remote(copy_of_history, url, address):
    git(copy_of_history, "remote", "add", "origin", url)
    assert revisions.github() == address


def test_without_a_remote_there_is_no_github(here):
    assert revisions.github() is None
