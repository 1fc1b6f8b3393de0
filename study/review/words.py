"""Records to Markdown, by the templates beside this module."""

from pathlib import Path
from typing import Any

import jinja2

from study import files

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **records: Any) -> str:
    """The text of templates/TEMPLATE.md.j2 for these records."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown; class names are checked where they come in
    )
    files.remember(TEMPLATES / f"{template}.md.j2")
    return environment.get_template(f"{template}.md.j2").render(records)
