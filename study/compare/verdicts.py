"""A comparison of two revisions as people and programs read it: text for a terminal, Markdown, JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.base.runtime import UserError
from study.compare import changes, revisions
from study.compare.changes import ChangedModel, Changes, NoRecordsError
from study.evaluation.seeds import Noise
from study.report import words
from study.report.differences import Answer

HEADER = ["model", "verdict", "ROC-AUC", "these models", "trained again", "accuracy", "change of accuracy"]
TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"
LOAN = "†"


def main(base: str, head: str | None, form: str, fail_on_regression: bool) -> None:
    """Print the comparison as `text`, `md` or `json`. Raises UserError if a model is worse and must not be."""
    comparison = changes.between(*revisions.find(base, head))
    print({"text": text, "md": markdown, "json": as_json}[form](comparison), end="")
    if fail_on_regression and comparison.worse:
        raise UserError(f"worse than {words.printable(base)}: {words.printable(', '.join(comparison.worse))}")


def against_head() -> str:
    """What the workspace changed since HEAD, for the end of a run: a table, a line on why there is none, or nothing.

    Nothing if no commit records a run, git or the repository are missing, or nothing changed.
    """
    try:
        base, _ = revisions.find("HEAD")
        head = revisions.Revision(revisions.WORKSPACE, None)
    except (UserError, OSError):
        return ""
    try:
        comparison = changes.between(base, head)
    except NoRecordsError:
        return ""
    except (UserError, OSError) as error:
        return f"not compared with HEAD: {error}\n"
    return text(comparison) if comparison.changed else ""


def text(comparison: Changes) -> str:
    """Columns of fixed width."""
    return words.render("compare", "txt", TEMPLATES, **shown(comparison, words.printable))


def markdown(comparison: Changes) -> str:
    return words.render("compare", "md", TEMPLATES, **shown(comparison, words.markdown))


def shown(comparison: Changes, escape: Callable[[str], str]) -> dict[str, Any]:
    """What the templates of a comparison need; `escape` is how a name from outside is written."""
    return {"comparison": comparison, "table": table(comparison, escape), "lenders": lenders}


def lenders(model: ChangedModel) -> str:
    """Which models its seed variance is estimated from in the revisions in which it was trained once, if any."""
    noises = [training.noise for training in model.trainings if training.noise and training.noise.borrowed]
    return " and ".join(dict.fromkeys(map(_lender, noises)))


def _lender(noise: Noise) -> str:
    if noise.borrowed in noise.measured:
        return f"estimated from {noise.borrowed}"
    return f"estimated from {', '.join(noise.measured)}, the largest of {noise.borrowed}"


def as_json(comparison: Changes) -> str:
    record: dict[str, Any] = {
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
        "before": model.before and model.before.test,
        "after": model.after and model.after.test,
        "shipped": pair and asdict(pair.shipped),
        "shipped_adjusted_p": pair and pair.shipped_adjusted_p,
        "retrained": pair and pair.retrained and asdict(pair.retrained),
        "retrained_adjusted_p": pair and pair.retrained_adjusted_p,
        "accuracy": pair and asdict(pair.accuracy),
        "trainings": [asdict(training) for training in model.trainings],
        "change": model.change("roc_auc"),
        "accuracy_change": model.change("accuracy"),
        "borrowed": [training.noise and training.noise.borrowed for training in model.trainings],
    }


def table(comparison: Changes, escape: Callable[[str], str]) -> list[list[str]]:
    """The cells, a row per model below the header; `escape` is how a name from outside is written."""
    return [HEADER, *(_cells(model, escape(model.name)) for model in comparison.models)]


def _cells(model: ChangedModel, name: str) -> list[str]:
    pair = model.pair
    return [
        name,
        model.verdict,
        _from_to(model, "roc_auc"),
        _answer(pair and pair.shipped),
        _answer(pair and pair.retrained) + (f" {LOAN}" if pair and pair.retrained and lenders(model) else ""),
        _from_to(model, "accuracy"),
        _answer(pair and pair.accuracy),
    ]


def _from_to(model: ChangedModel, score: str) -> str:
    old, new = (f"{scored.test[score]:.4f}" if scored else NOTHING for scored in (model.before, model.after))
    return f"{old} → {new}"


def _answer(answer: Answer | None) -> str:
    return f"{answer.value:+.4f} [{answer.low:+.4f}, {answer.high:+.4f}]" if answer else NOTHING
