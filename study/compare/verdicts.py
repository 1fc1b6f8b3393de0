"""A comparison of two revisions as people and programs read it: text for a terminal, tables, JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.base.runtime import UserError
from study.compare import changes, revisions
from study.compare.changes import ChangedModel, Changes
from study.report import words
from study.report.differences import Answer

HEADER = ["model", "verdict", "mean ROC-AUC", "difference", "note"]
TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"
CONTEXT = ["chance to win", "ROC-AUC of the files", "difference of the files", "accuracy"]
QUIET = {changes.SAME, "equivalent"}  # these ask nothing of the reader


def main(base: str, head: str | None, is_json: bool, fail_on_regression: bool) -> None:
    """Print the comparison as text or JSON. Raises UserError if a model is worse and must not be."""
    comparison = changes.between(*revisions.find(base, head))
    print((as_json if is_json else text)(comparison), end="")
    worse = [model.name for model in comparison.models if model.verdict == changes.WORSE]
    if fail_on_regression and worse:
        raise UserError(f"worse than {words.printable(base)}: {words.printable(', '.join(worse))}")


def text(comparison: Changes) -> str:
    """Columns of fixed width."""
    return words.render(
        "compare",
        "txt",
        TEMPLATES,
        comparison=comparison,
        conclusion=conclusion(comparison, words.printable),
        table=table(comparison.models, words.printable),
    )


def conclusion(comparison: Changes, escape: Callable[[str], str]) -> str:
    """The comparison in one sentence."""
    by_verdict: dict[str, list[ChangedModel]] = {}
    for model in comparison.models:
        by_verdict.setdefault(model.verdict, []).append(model)
    claims = [
        f"{escape(model.name)} is {verdict} by {abs(model.pair.retrained.value):.4f}"
        for verdict in (changes.WORSE, changes.BETTER)
        for model in by_verdict.pop(verdict, [])
    ]
    others = [
        f"{verdict}: {', '.join(escape(model.name) for model in models)}"
        for verdict, models in by_verdict.items()
        if verdict not in QUIET
    ]
    return f"{'; '.join([*(claims or [_quiet(comparison.models)]), *others])}."


def _quiet(models: list[ChangedModel]) -> str:
    """What may be said of models none of which is better or worse."""
    compared = {model.verdict for model in models if model.pair}
    if not compared:
        return "No model changed"
    return "No change is shown" if compared == {changes.UNKNOWN} else "Nothing changed that seeds do not explain"


def as_json(comparison: Changes) -> str:
    record: dict[str, Any] = {
        "conclusion": conclusion(comparison, str),
        "base": asdict(comparison.base),
        "head": asdict(comparison.head),
        "params": [asdict(param) for param in comparison.params],
        "code": [asdict(file) for file in comparison.code],
        "models": [_record(model) for model in comparison.models],
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def _record(model: ChangedModel) -> dict[str, Any]:
    pair = model.pair
    return {
        "model": model.name,
        "verdict": model.verdict,
        "note": model.note,
        "before": model.before and model.before.test,
        "after": model.after and model.after.test,
        "retrained": pair and pair.retrained and asdict(pair.retrained),
        "chance": pair and pair.chance,
        "shipped": pair and pair.shipped and asdict(pair.shipped),
    }


def table(models: list[ChangedModel], escape: Callable[[str], str]) -> list[list[str]]:
    """The cells, a row per model below the header; the last column is there only if there is a note."""
    rows = [HEADER, *(_cells(model, escape(model.name)) for model in models)]
    return rows if any(model.note for model in models) else [row[:-1] for row in rows]


def _cells(model: ChangedModel, name: str) -> list[str]:
    """By the question whether the change would hold if the model was trained again."""
    difference = _answer(model.pair and model.pair.retrained)
    return [name, model.verdict, _from_to(model, "roc_auc_mean"), difference, model.note]


def full_table(models: list[ChangedModel], escape: Callable[[str], str]) -> list[list[str]]:
    """The same with what the files at hand score, whatever seeds would make of them."""
    context = [CONTEXT, *map(_context, models)]
    return [[*row, *more] for row, more in zip(table(models, escape), context, strict=True)]


def _context(model: ChangedModel) -> list[str]:
    chance = NOTHING if model.pair is None or model.pair.chance is None else f"{model.pair.chance:.0%}"
    return [chance, _from_to(model, "roc_auc"), _answer(model.pair and model.pair.shipped), _from_to(model, "accuracy")]


def _from_to(model: ChangedModel, score: str) -> str:
    old, new = (f"{scored.test[score]:.4f}" if scored else NOTHING for scored in (model.before, model.after))
    return f"{old} → {new}"


def _answer(answer: Answer | None) -> str:
    return f"{answer.value:+.4f} [{answer.low:+.4f}, {answer.high:+.4f}]" if answer else NOTHING
