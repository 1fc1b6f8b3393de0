"""The page of a benchmark: Markdown tables under the question, the command, the machine and the commit."""

import argparse
import contextlib
import datetime
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from study.base import files, machine
from study.base.runtime import UserError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/results"
MEASURED = ("benchmarks", "stages", "study", "params.yaml")  # what a result depends on in a commit
NOTES = "\n## Notes\n"  # what somebody wrote about a page, which a new run keeps


def parser(name: str, documentation: str, data: bool = False) -> argparse.ArgumentParser:
    """A parser with the options that benchmarks share; the first line of the documentation is the question."""
    question = documentation.splitlines()[0]
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=question)
    parser.set_defaults(name=name, question=question)
    parser.add_argument("--write", action="store_true", help=f"write the page to docs/results/{name}.md, too")
    if data:
        parser.add_argument("--data", type=Path, metavar="PATH.npz", help="images; without it those drawn by code")
    return parser


def add_number(
    parser: argparse.ArgumentParser, option: str, default: int | list[int] | None, text: str, least: int = 1
) -> None:
    """Add an option that takes a whole number, or several if the default is a list."""

    def number(value: str) -> int:
        if not (value.isascii() and value.isdecimal() and int(value) >= least):
            raise UserError(f"{option} is {value!r}; allowed: whole numbers from {least}")
        return int(value)

    shown = " ".join(map(str, default)) if isinstance(default, list) else default
    text += f" (default {shown})" if shown else ""
    several = {"nargs": "+"} if isinstance(default, list) else {}
    parser.add_argument(option, type=number, default=default, metavar="N", help=text, **several)


class Page:
    """Markdown that is printed as it grows."""

    def __init__(self):
        self.content = ""

    def text(self, text: str) -> None:
        """Add a heading, a command or a paragraph."""
        self._add((text if text.startswith(("#", "    ")) else textwrap.fill(text, 120)) + "\n\n")

    def table(self, columns: Iterable[str], rows: Iterable[Iterable]) -> None:
        """Add a table; each row is shown as soon as the iterable gives it."""
        columns = list(columns)
        self._add(_row(columns) + _row(["---"] * len(columns)))
        for row in rows:
            self._add(_row(row))
        self._add("\n")

    def _add(self, text: str) -> None:
        print(text, end="", flush=True)
        self.content += text


def _row(cells: Iterable) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


@contextlib.contextmanager
def page(options: argparse.Namespace) -> Iterator[Page]:
    """A page with its heading. If the options say so, it is written to docs/results, above the NOTES that are there."""
    page = Page()
    page.text(f"# {options.question.rstrip('.')}")
    page.text(f"    {command(options.name)}")
    page.text(f"{machine.description()}; {commit()}; {datetime.date.today()}.")
    yield page
    if options.write:
        path = FOLDER / f"{options.name}.md"
        _, heading, notes = (path.read_text(encoding="utf-8") if path.is_file() else NOTES).partition(NOTES)
        if not heading:
            raise UserError(f"{path}: has no section{NOTES.rstrip()}; put what shall stay below it".replace("\n", " "))
        files.write_text(path, page.content.rstrip("\n") + "\n" + heading + notes)


def command(name: str) -> str:
    """The command that runs, without the folders of files."""
    arguments = [re.sub(r"[^=]*/", "", argument) for argument in sys.argv[1:]]
    return " ".join(["python -m", f"benchmarks.{name}", *arguments])


def commit() -> str:
    """The commit that is checked out, and whether what is measured differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *MEASURED)
        return f"commit {git('rev-parse', '--short=10', 'HEAD')}{' with changes' if changed else ''}"
    except (OSError, subprocess.CalledProcessError):
        return "no commit"


def percent(share: float, decimals: int = 1) -> str:
    return f"{100 * share:.{decimals}f} %"
