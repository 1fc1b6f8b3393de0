"""Markdown as its readers see it: GitHub looks for mentions and references in rendered text."""

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

# @NAME, #1, OWNER/NAME#1, GH-1 and addresses.
REFERENCES = re.compile(r"@\w|#\d|\bGH-\d|://|\bwww\.\w", re.IGNORECASE)


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text(page: str) -> str:
    """What a page shows, with HTML in it taken for HTML."""
    parser = _Texts()
    parser.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(page))
    parser.close()
    return "".join(parser.texts)
