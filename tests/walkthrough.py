"""python tests/walkthrough.py: run docs/tutorial.md in a clone of HEAD and write what its commands print into it.

`dvc pull` gets what the cache of this repository holds, so the record of HEAD has to be in it.

In a block ```console of a page, a line that begins with `$ ` is a command, and the lines up to the next command are its
output, stdout and stderr. A command goes on behind a backslash at the end of its line, and in a here-document. A block
```diff changes a file; a line `@@` stands between its hunks.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pace

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/tutorial.md"
ADDRESS = "https://example.org/study.git"
# Of an output of more than WHOLE lines, the page has the first and the last ones, and the line CUT between.
WHOLE, FIRST, LAST, CUT = 26, 8, 5, "…"
COMMIT = r"(?<=\bcommit )[0-9a-f]{7}\b"  # whose outputs the page shows
MERGED = "  better  "  # as `python -m study compare` says of a model
SECONDS = 1200  # no command takes so long on an idle machine
# What differs from run to run, and what a shape has instead.
MASKS = {
    r"at most .* left": "at most 0 s left",
    r"(?<!\w)(?<!\d\.)[0-9a-f]{7,40}\b": "HASH",
    r"[-+]?\d[\d.,:]*(e[-+]\d+)?": "0",
    r" \(MODEL, [^)]*\)": "",  # what `best` and `control` are made of
    r"^(MODEL is|Nothing|No) .*\.$": "",  # the conclusion of a comparison
    r"(VERDICT +0 → 0) .*": r"\1",  # a difference, or a note on why there is none
    r"†": "",  # the seed variance of another model
    r"^ *MODEL: .*": "",  # the notes on such models
    r"^Reproducing experiment .*": "",  # which the tests' fork of DVC prints at its end
    r"[ ─-]+": " ",
}


@dataclass
class Command:
    text: str
    output: list[str] = field(default_factory=list)


@dataclass
class Edit:
    """What stands in a file before and after, by hunk."""

    path: str
    hunks: list[tuple[str, str]]


def main() -> None:
    if not (ROOT / ".dvc/cache").is_dir():
        sys.exit("error: .dvc/cache is missing; run `dvc repro` and commit its results first")
    with tempfile.TemporaryDirectory() as folder:
        environment = surroundings(ROOT, Path(folder), dict(os.environ))
        try:
            page = renewed(PAGE.read_text(encoding="utf-8"), Shell(Path(folder), environment))
        except AssertionError as error:
            sys.exit(f"error: the page is as it was, since a command failed: {error}")
    if MERGED not in page:
        sys.exit("error: the page is as it was, since no model is better: choose another change to merge")
    head = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    PAGE.write_text(re.sub(COMMIT, head.stdout.strip(), page, count=1), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ reading a page
def blocks(page: str) -> Iterator[tuple[str, list[str]]]:
    """The kind and the lines of each fenced block; the lines between, the fences among them, have no kind."""
    kind, lines = "", []
    for line in page.splitlines():
        if kind and line == "```":
            yield kind, lines
            kind, lines = "", [line]
        elif not kind and re.match(r"```\w", line):
            yield "", [*lines, line]
            kind, lines = line[3:], []
        else:
            lines.append(line)
    yield kind, lines


def commands(lines: Iterable[str]) -> list[Command]:
    """Those of a ```console block, with their outputs."""
    listed: list[Command] = []
    end = ""  # of a here-document
    for line in lines:
        if line.startswith("$ ") and not end:
            listed.append(Command(line[2:]))
        elif end or listed[-1].text.endswith("\\"):
            listed[-1].text += f"\n{line}"
        else:
            listed[-1].output.append(line)
            continue
        here = re.search(r"<<'(\w+)'", line)
        end = here[1] if here else "" if line == end else end
    return listed


def edit(lines: list[str]) -> Edit:
    """That of a ```diff block."""
    hunks = [list(hunk) for is_mark, hunk in itertools.groupby(lines[2:], "@@".__eq__) if not is_mark]
    before, after = (
        ["".join(f"{line[1:]}\n" for line in hunk if line[:1] != other) for hunk in hunks] for other in "+-"
    )
    return Edit(lines[1].removeprefix("+++ b/"), list(zip(before, after, strict=True)))


def steps(page: str) -> list[Command | Edit]:
    """What a page does, in its order."""
    of_kind = {"console": commands, "diff": lambda lines: [edit(lines)]}
    return [step for kind, lines in blocks(page) if kind in of_kind for step in of_kind[kind](lines)]


# -------------------------------------------------------------------------------------------------------- following it
class Shell:
    """Runs commands and edits one after the other; a command begins in the folder where the last one ended."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment

    def run(self, command: str) -> list[str]:
        """The lines that the command prints. Raises AssertionError where it fails."""
        with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as end:
            done = subprocess.run(
                ["bash", "-c", f"trap 'pwd > {end.name}' EXIT\n{command}\n"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=pace.seconds(SECONDS),
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
            self.folder = Path(end.read().strip())
        return [line.rstrip() for line in done.stdout.strip().splitlines()]

    def apply(self, change: Edit) -> None:
        """Change a file; raises AssertionError where the lines of a hunk do not stand in it once."""
        path = self.folder / change.path
        text = "\n" + path.read_text(encoding="utf-8")  # so that each line has an end in front of it
        for before, after in change.hunks:
            times = text.count(f"\n{before}")
            assert times == 1, f"{change.path} has {times} times:\n{before}"
            text = text.replace(f"\n{before}", f"\n{after}")
        path.write_text(text[1:], encoding="utf-8")


def surroundings(repository: Path, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment in which ADDRESS is a bare clone of HEAD, as branch main, and its default remote of DVC has what
    the repository's cache has. Both are made in `folder`; commands that push change nothing else."""
    origin, remote, home = folder / "origin.git", folder / "remote", folder / "settings"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", origin], check=True)
    subprocess.run(["git", "push", "--quiet", origin, "HEAD:refs/heads/main"], cwd=repository, check=True)
    shutil.copytree(repository / ".dvc/cache", remote, copy_function=os.link)
    home.mkdir()
    (home / "config").write_text(
        f"[core]\n    remote = team\n['remote \"team\"']\n    url = {remote}\n[cache]\n    type = symlink\n"
    )
    (home / "gitconfig").write_text(
        f'[user]\n\tname = reader\n\temail = reader@example.org\n[url "{origin}"]\n\tinsteadOf = {ADDRESS}\n'
    )
    settings = {"GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    settings |= {
        "DVC_GLOBAL_CONFIG_DIR": str(home),
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
    }
    return environment | settings


# ----------------------------------------------------------------------------------------------- writing and comparing
def renewed(page: str, shell: Shell) -> str:
    """The page with the outputs that its commands have now."""
    lines: list[str] = []
    for kind, block in blocks(page):
        if kind != "console":
            lines += block
            continue
        for command in commands(block):
            print(f"$ {command.text}", flush=True)
            lines += f"$ {command.text}".splitlines()
            lines += cut(shell.run(command.text))
    return "\n".join(lines) + "\n"


def cut(output: list[str]) -> list[str]:
    """An output as the page has it."""
    return output if len(output) <= WHOLE else [*output[:FIRST], CUT, *output[-LAST:]]


def shape(output: Iterable[str], words: Mapping[str, str]) -> list[str]:
    """The lines of an output without what differs from run to run: hashes, numbers, widths, and `words`, such as the
    names of models, which become what they are mapped to.

    Lines that are then the same as the one before are left out, as a table has any number of rows. So are empty lines,
    and the notes on single models.
    """
    known = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?!\w)")
    lines = []
    for line in output:
        line = known.sub(lambda match: words[match[0]], line)
        for pattern, mask in MASKS.items():
            line = re.sub(pattern, mask, line)
        lines += [line.strip()] if line.strip() else []
    return [line for line, _ in itertools.groupby(lines)]


def same_shape(printed: list[str], page: list[str], words: Mapping[str, str]) -> bool:
    """Whether an output has the shape of what the page has, whose line CUT stands for any lines."""
    whole = shape(printed, words)
    if CUT not in page:
        return whole == shape(page, words)
    start, end = (shape(part, words) for part in (page[: page.index(CUT)], page[page.index(CUT) + 1 :]))
    return whole[: len(start)] == start and whole[-len(end) :] == end


if __name__ == "__main__":
    sys.exit(main())
