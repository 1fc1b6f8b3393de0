"""record [--write]: do the pages say of the committed record what it says?

Between the lines `<!-- FILE -->` and `<!-- end of FILE -->` a page has the content of FILE; --write puts it there. Any
other score comes from elsewhere: its section, or the head of its page, names the commit that it came from.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/**/*.md")
PASSAGE = re.compile(r"^(<!-- (\S+) -->\n)(.*?)(<!-- end of \2 -->)$", re.MULTILINE | re.DOTALL)
SCORE = re.compile(r"(?<![\d.])[01]\.\d{4,}(?!\d)")  # four decimals, as reports have
COMMIT = re.compile(r"\b[Cc]ommits?\s+`?[0-9a-f]{7,40}\b")


def main(*options: str) -> None:
    """Exits with a line per fault."""
    faults = []
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        name, page = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        try:
            current = renewed(page)
        except FileNotFoundError as error:
            sys.exit(f"error: {name} shows {Path(error.filename).relative_to(ROOT)}, which is missing")
        if "--write" in options:
            path.write_text(current, encoding="utf-8")
        elif current != page:
            faults.append(f"{name} shows an earlier record; run `python .ci/record.py --write`")
        faults += [
            f"{name} has {score} under {section!r}, which names no commit" for section, score in foreign_scores(page)
        ]
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    print("pages: what they say of the record is what it says")


def renewed(page: str) -> str:
    """The page with the content that the files of its passages have now."""
    return PASSAGE.sub(lambda match: f"{match[1]}{(ROOT / match[2]).read_text(encoding='utf-8')}{match[4]}", page)


def foreign_scores(page: str) -> list[tuple[str, str]]:
    """The first score of each section that is neither in a passage nor of a named commit, after the section's title."""
    head, *sections = re.split(r"^## ", PASSAGE.sub("", page), flags=re.MULTILINE)
    if COMMIT.search(head):
        return []
    found = []
    for section in (head.removeprefix("# "), *sections):
        score = SCORE.search(section)
        if score and not COMMIT.search(section):
            found.append((section.partition("\n")[0], score[0]))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
