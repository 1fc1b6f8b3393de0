"""A comparison of two revisions as people and programs read it: text for a terminal, Markdown, JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.base.runtime import UserError
from study.compare import changes, revisions
from study.compare.changes import Comparison, NoRecordsError, Row
from study.evaluation.seeds import Noise
from study.report import words
from study.report.differences import Answer

HEADER = ["model", "verdict", "ROC-AUC", "these models", "trained again", "accuracy", "change of accuracy"]
TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"
LOAN = "†"


def main(base: str, head: str | None, form: str, fail_on_regression: bool) -> None:
    """Print the comparison as `text`, `md` or `json`. Raises UserError where a model is worse and shall not be."""
    comparison = changes.compare(*revisions.find(base, head))
    print({"text": text, "md": markdown, "json": as_json}[form](comparison), end="")
    if fail_on_regression and comparison.worse:
        raise UserError(f"worse than {words.printable(base)}: {words.printable(', '.join(comparison.worse))}")


def against_head() -> str:
    """What the workspace changed since HEAD, for the end of a run: a table, a line on why there is none, or nothing.

    Nothing where no commit records a run, git or the repository are missing, or nothing changed.
    """
    try:
        base, _ = revisions.find("HEAD")
        head = revisions.Revision(revisions.WORKSPACE, None)
    except (UserError, OSError):
        return ""
    try:
        comparison = changes.compare(base, head)
    except NoRecordsError:
        return ""
    except (UserError, OSError) as error:
        return f"not compared with HEAD: {error}\n"
    return text(comparison) if comparison.changed else ""


def text(comparison: Comparison) -> str:
    """Columns of fixed width."""
    return words.render("compare", "txt", TEMPLATES, **shown(comparison, words.printable))


def markdown(comparison: Comparison) -> str:
    return words.render("compare", "md", TEMPLATES, **shown(comparison, words.markdown))


def shown(comparison: Comparison, escape: Callable[[str], str]) -> dict[str, Any]:
    """What the templates of a comparison need; `escape` is how a name from outside is written."""
    return {"comparison": comparison, "table": table(comparison, escape), "lenders": lenders}


def lenders(row: Row) -> str:
    """Whose noise the model has in the revisions in which it was trained once; empty where it has its own."""
    noises = [training.noise for training in row.trainings if training.noise and training.noise.borrowed]
    return " and ".join(dict.fromkeys(map(_lender, noises)))


def _lender(noise: Noise) -> str:
    if noise.borrowed in noise.measured:
        return f"that of {noise.borrowed}"
    return f"that of {', '.join(noise.measured)}, the largest of {noise.borrowed}"


def as_json(comparison: Comparison) -> str:
    record: dict[str, Any] = {
        "base": asdict(comparison.base),
        "head": asdict(comparison.head),
        "params": [asdict(param) for param in comparison.params],
        "code": [asdict(file) for file in comparison.code],
        "models": [_record(row) for row in comparison.rows],
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def _record(row: Row) -> dict[str, Any]:
    record = asdict(row) | {"change": row.change, "accuracy_change": row.accuracy_change}
    noises = [training.noise for training in row.trainings]
    return record | {"borrowed": [noise.borrowed if noise else None for noise in noises]}


def table(comparison: Comparison, escape: Callable[[str], str]) -> list[list[str]]:
    """The cells, a row per model below the header; `escape` is how a name from outside is written."""
    return [HEADER, *(_cells(row, escape(row.model)) for row in comparison.rows)]


def _cells(row: Row, name: str) -> list[str]:
    return [
        name,
        row.verdict,
        _from_to(row, "roc_auc"),
        _answer(row.shipped),
        _answer(row.retrained) + (f" {LOAN}" if row.retrained and lenders(row) else ""),
        _from_to(row, "accuracy"),
        _answer(row.accuracy),
    ]


def _from_to(row: Row, score: str) -> str:
    old, new = (f"{record[score]:.4f}" if record else NOTHING for record in (row.before, row.after))
    return f"{old} → {new}"


def _answer(answer: Answer | None) -> str:
    return f"{answer.value:+.4f} [{answer.low:+.4f}, {answer.high:+.4f}]" if answer else NOTHING
