"""params.yaml, read and checked whole before a stage does any work."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.base import files, inputs
from study.base.runtime import UserError
from study.params import messages, reader
from study.params.schema import Params

FILE = "params.yaml"
NONE = ("", "none", "null")  # texts that mean no value, in any case
GRAPH = "dvc.yaml"
# A stage of a `foreach` over the models names them by itself; these two list the files of each model.
READ_OF_EACH_MODEL = {
    "tune": ["metrics/validation/{}.json"],
    "report": ["metrics/validation/{}.json", "metrics/test/{}.json", "metrics/images/{}.csv"],
}
TEMPLATE = re.compile(r"\$\{[^}]*\}")  # in dvc.yaml, for any text: only DVC knows all variables


def load(*sections: str) -> Params:
    """The params of which only the named sections can be used: what is asked for is what dvc.yaml declares.

    A section is a key, `seed` say, or the block of one model, `models.cnn2`. Raises UserError with one line that names
    the key, the value found and what is allowed.
    """
    before = inputs.stamp(FILE)
    raw = read_yaml(FILE)
    params = parse(raw)
    check_models(params)
    values: dict[str, Any] = {}
    for section in sections:
        key, _, model = section.partition(".")
        value = getattr(params, key)
        if model and model not in value:
            raise UserError(f"{FILE}: {section} does not exist; allowed: {', '.join(value)}")
        values[key] = {model: value[model]} if model else value
    inputs.remember(FILE, before, lambda: _are_on_disk(_picked(raw, sections), sections))
    return Params.model_construct(**values)


def _picked(raw: dict, sections: tuple[str, ...]) -> list:
    """The values of the named sections."""
    keys = (section.partition(".") for section in sections)
    return [raw[key][model] if model else raw.get(key) for key, _, model in keys]


def _are_on_disk(values: list, sections: tuple[str, ...]) -> bool:
    """Whether params.yaml has these values in the named sections."""
    try:
        return _picked(read_yaml(FILE), sections) == values
    except (UserError, KeyError, TypeError, AttributeError):  # while somebody edits it
        return False


def parse(raw: Any) -> Params:
    """Check the content of params.yaml. Raises UserError for the first fault."""
    raw = _without_none_texts(raw)
    if not isinstance(raw, dict):
        raise UserError(f"{FILE}: holds no mapping of sections; allowed: {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{FILE}: {messages.fault(error, raw)}") from None


def _without_none_texts(value: Any) -> Any:
    """The content of a YAML file, with None for each text in NONE, as people write it and `-S key=` gives it."""
    if isinstance(value, dict):
        return {key: _without_none_texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_without_none_texts, value))
    return None if isinstance(value, str) and value.strip().lower() in NONE else value


def check_models(params: Params) -> None:
    """Raise UserError if a model has no script, or if the deps of a stage lack one of its files."""
    stages = read_stages()
    for name in params.models:
        script = Path(f"stages/train/{name}.py")
        if not script.is_file():
            raise UserError(f"{FILE}: models.{name} has no script {script}; write it, or remove the block")
        lines = []
        for stage, names in READ_OF_EACH_MODEL.items():
            paths = [each.format(name) for each in names]
            deps = stages[stage].get("deps") or [] if stage in stages else paths
            patterns = [TEMPLATE.sub("*", str(dep)) for dep in deps]
            if lacking := [path for path in paths if not any(fnmatchcase(path, each) for each in patterns)]:
                lines.append(f"{', '.join(lacking)} to the deps of {stage}")
        if lines:
            raise UserError(f"{FILE}: models.{name} is not listed in {GRAPH} yet; add {', and '.join(lines)}")


def read_stages() -> dict[str, dict]:
    """The stages of dvc.yaml by name. Raises UserError if it holds none."""
    content = read_yaml(GRAPH, anchors=True)
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise UserError(f"{GRAPH}: holds no mapping of stages; `git restore {GRAPH}`")
    return stages


def read_yaml(path: str, anchors: bool = False) -> Any:
    """The values of a YAML file, as DVC reads them; `anchors` are refused unless wanted.

    Raises UserError if the file is missing or not valid YAML.
    """
    try:
        return reader.read(read_text(path), anchors)
    except reader.YamlError as error:
        line = f", line {error.line}" if error.line else ""
        raise UserError(f"{path}{line}: is not valid YAML ({error})") from None


def read_text(path: str) -> str:
    """Raises UserError if the file is missing or not UTF-8."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: is missing from this folder; work in the repository's root") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    if left := files.left_by_git(text.encode()):
        raise UserError(f"{path}: {left}")
    return text
