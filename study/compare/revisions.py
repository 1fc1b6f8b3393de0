"""Files of a commit, or of the workspace, read from git alone: no cache, no remote, no network."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from study.base.runtime import UserError
from study.report.words import printable

WORKSPACE = "the workspace"
# No fetch of what a partial clone lacks, no lock that another git process would meet, messages in English.
ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
COMMIT = re.compile(rb"([0-9a-f]{40,64}) commit")
EXPERIMENT = re.compile(r"([0-9a-f]+) refs/exps/([0-9a-f]{2})/([0-9a-f]{38,62})/([^/]+)")
FETCH_ALL = "this partial clone lacks it: `git fetch --refetch --no-filter` gets all"
STATUS = {"A": "added", "D": "removed"}


@dataclass(frozen=True)
class ChangedFile:
    """A file that two revisions do not share: its path, and whether it was added, removed or changed."""

    path: str
    change: str


@dataclass(frozen=True)
class Revision:
    """A commit under the name that the user gave it, or the workspace, which has no commit."""

    name: str
    commit: str | None

    @property
    def title(self) -> str:
        return f"{self.name} ({self.commit[:7]})" if self.commit else self.name

    def read(self, *places: str) -> dict[str, bytes]:
        """The content of the files at these paths and in these folders, by path; what is not there is left out."""
        return _committed(self.commit, places) if self.commit else _present(places)

    def paths(self, *places: str) -> list[str]:
        """The files that the commit, or for the workspace HEAD, has in these folders, in order."""
        return sorted(_tree(self.commit or "HEAD", places))

    def changed_since(self, base: "Revision", *places: str) -> list[ChangedFile]:
        """The files in these places that differ from a commit's, in order of their paths."""
        commits = [commit for commit in (base.commit, self.commit) if commit]
        options = ("-z", "--name-status", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative")
        fields = _names(_git("diff", *options, *commits, "--", *places))
        changed = {path: STATUS.get(status, "changed") for status, path in zip(fields[::2], fields[1::2], strict=True)}
        if not self.commit:
            others = _names(_git("ls-files", "-z", "--others", "--exclude-standard", "--", *places))
            changed |= dict.fromkeys(others, "added")
        return [ChangedFile(path, changed[path]) for path in sorted(changed)]


def find(base: str, head: str | None = None) -> tuple[Revision, Revision]:
    """The two revisions of these names: commits, branches, tags or DVC's experiments. No `head`: the workspace.

    Raises UserError if this is no repository, a name is unknown, or the workspace is meant and there is none.
    """
    if _git("rev-parse", "--is-inside-work-tree").strip() != b"true" and head is None:
        raise UserError("HEAD is not given, and this is a bare repository without a workspace; name two revisions")
    names = [base] if head is None else [base, head]
    found = [Revision(name, commit) for name, commit in zip(names, _commits(names), strict=True)]
    return found[0], found[1] if head is not None else Revision(WORKSPACE, None)


def github() -> str | None:
    """The address of the repository on GitHub, if the remote `origin` is there."""
    try:
        url = _git("config", "--get", "remote.origin.url").decode(errors="replace").strip()
    except UserError:
        return None
    place = re.fullmatch(r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    return f"https://github.com/{place[1]}" if place else None


def _git(*command: str, given: bytes = b"") -> bytes:
    """What a git command prints. Raises UserError with git's own line, and what git advises, if it fails."""
    try:
        done = subprocess.run(
            ["git", *command], input=given, capture_output=True, env=os.environ | ENVIRONMENT, check=False
        )
    except FileNotFoundError:
        raise UserError("git is not installed, or its folder is not in PATH; install it") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or [f"exit code {done.returncode}"]
        reason = next((line for line in lines if line.startswith("fatal: ")), lines[0]).removeprefix("fatal: ")
        remedies = [f"`{line.strip()}`" for line in lines if line.startswith("\tgit ")]
        if reason.startswith("not a git repository"):
            remedies.append("run it in a clone")
        elif _is_partial():
            remedies.append(FETCH_ALL)
        raise UserError("; ".join([f"git {command[0]}: {printable(reason)}", *map(printable, remedies)]))
    return done.stdout


def _is_partial() -> bool:
    """Whether git left out files or folders when it cloned."""
    command = ["git", "config", "--get-regexp", r"^remote\..*\.promisor$"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0")[:-1]]


def _commits(names: list[str]) -> list[str]:
    """The hashes of the commits. Names go to git's standard input: none of them can be an option there."""
    for name in names:
        if not name or not name.isprintable():
            raise UserError(f"{printable(name) or 'an empty name'}: is no name of a revision; {_allowed()}")
    asked = "".join(f"{name}^{{commit}}\n" for name in names).encode()
    answers = _git("cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked).splitlines()
    matches = [COMMIT.fullmatch(answer) for answer in answers]
    return [match[1].decode() if match else _experiment(name) for name, match in zip(names, matches, strict=True)]


def _experiment(name: str) -> str:
    """The commit of DVC's experiment of this name: of several, that which started from HEAD, as DVC chooses."""
    listed = _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").decode(errors="replace")
    matches = [match for line in listed.splitlines() if (match := EXPERIMENT.fullmatch(line)) and match[4] == name]
    if len(matches) > 1:
        head = _git("rev-parse", "--verify", "HEAD").decode().strip()
        own = [match for match in matches if match[2] + match[3] == head]
        if not own:
            raise UserError(f"{name}: is the name of {len(matches)} experiments; give the hash that `dvc exp show` has")
        matches = own
    if not matches:
        raise UserError(f"{name}: is no revision of this repository; {_allowed()}")
    return matches[0][1]


def _allowed() -> str:
    return "allowed: a commit, branch, tag or experiment that is here (`git fetch` gets others)"


def _tree(commit: str, places: tuple[str, ...]) -> dict[str, bytes]:
    """The hashes of a commit's files, by path."""
    entries = _git("ls-tree", "-r", "-z", commit, "--", *places).split(b"\0")[:-1]
    found = (entry.partition(b"\t") for entry in entries)
    return {os.fsdecode(path): about.split()[2] for about, _, path in found if about.split()[1] == b"blob"}


def _committed(commit: str, places: tuple[str, ...]) -> dict[str, bytes]:
    tree = _tree(commit, places)
    output = _git("cat-file", "--batch", given=b"".join(name + b"\n" for name in tree.values()))
    contents, start = {}, 0
    for path in tree:  # each object: a line that ends with its size, then its bytes, then a line break
        end = output.index(b"\n", start) + 1
        if output[start:end].endswith(b" missing\n"):
            raise UserError(f"git cat-file: could not read {printable(path)} of {commit[:7]}; {FETCH_ALL}")
        size = int(output[start:end].split()[2])
        contents[path] = output[end : end + size]
        start = end + size + 1
    return contents


def _present(places: tuple[str, ...]) -> dict[str, bytes]:
    files = (file for place in map(Path, places) for file in ([place] if place.is_file() else place.rglob("*")))
    return {file.as_posix(): file.read_bytes() for file in sorted(files) if file.is_file()}
