"""params.yaml as a typed model: checked whole before a stage does any work, handed out section by section."""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError
from typing_extensions import TypedDict

from stages.lib.errors import UserError

FILE = "params.yaml"

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=10)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Synthetic(Section):
    train_images: Count
    test_images: Count
    noise: Annotated[float, Field(ge=0, le=255)]
    duplicates: CountOrZero
    leaks: CountOrZero

    @model_validator(mode="after")
    def _room(self) -> "Synthetic":
        if self.train_images < 20 + self.duplicates + self.leaks:
            raise ValueError("train_images must be at least 20 + duplicates + leaks")
        if self.test_images < max(10, self.leaks):
            raise ValueError("test_images must be at least 10 and at least leaks")
        if 2 * self.duplicates > self.train_images - self.leaks:
            raise ValueError("duplicates must be at most half of train_images without leaks")
        return self


class Data(Section):
    source: Literal["synthetic", "cifar10", "npz"]
    path: str | None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    synthetic: Synthetic

    @model_validator(mode="after")
    def _npz_is_pinned(self) -> "Data":
        if self.source == "npz" and (self.path is None or self.sha256 is None):
            raise ValueError("source npz needs path and sha256")
        return self


class Prepare(Section):
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]


class Scoring(Section):
    bootstrap_replicates: Annotated[int, Field(ge=100, le=100_000)]


class Augmentation(Section):
    flip: bool
    shift_pixels: Annotated[int, Field(ge=0, le=64)]


class Cosine(Section):
    name: Literal["cosine"]
    warmup_fraction: Fraction


class Plateau(Section):
    name: Literal["plateau"]
    patience: Count
    factor: Annotated[float, Field(gt=0, lt=1)]
    minimum_learning_rate: Rate


class Training(Section):
    """What every model's block holds."""

    family: str

    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "rmsprop", "sgd"]
    learning_rate: Rate
    schedule: Annotated[Cosine | Plateau, Field(discriminator="name")]
    early_stopping_patience: Count | None
    weight_decay: Fraction
    label_smoothing: Fraction
    augmentation: Augmentation
    mirror_average: bool
    precision: Literal["float32", "mixed_bfloat16"]
    batch_norm_momentum: Fraction
    dropout: Fraction

    @model_validator(mode="after")
    def _floor_is_below(self) -> "Training":
        if self.schedule.name == "plateau" and self.schedule.minimum_learning_rate > self.learning_rate:
            raise ValueError("schedule.minimum_learning_rate must not exceed learning_rate")
        return self

    def require(self, family: str) -> None:
        """Raise UserError where a script of one family has been given the block of another."""
        if self.family != family:
            raise UserError(f"{FILE}: a script of family {family} has a block of family {self.family}; make them agree")


class Cnn(Training):
    family: Literal["cnn"]
    convolutions_per_block: Annotated[int, Field(ge=1, le=8)]
    further_blocks: Annotated[int, Field(ge=0, le=4)]
    width_multiplier: Annotated[int, Field(ge=1, le=8)]


class Head(Section):
    epochs: Count
    learning_rate: Rate


class Resnet(Training):
    family: Literal["resnet"]
    weights: str | None
    image_size: Annotated[int, Field(ge=32, le=1024)]
    pooling: Literal["avg", "max"]
    head: Head


Model = Annotated[Cnn | Resnet, Field(discriminator="family")]


class Range(Section):
    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self


Choices = list[int | float | str | bool | None]
Values = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(lambda values: "range" if isinstance(values, dict | Range) else "choices"),
]
Space = dict[str, Values]


class Spaces(Section):
    cnn: Space
    resnet: Space


class Tune(Section):
    models: Annotated[
        Annotated[Count, Tag("count")] | Annotated[list[str], Tag("names")],
        Discriminator(lambda chosen: "names" if isinstance(chosen, list) else "count"),
    ]
    sampler: Literal["tpe", "grid"]
    trials: Count
    epochs: Count | None
    startup_trials: CountOrZero
    pruner: Literal["median", "hyperband", "none"]
    space: Spaces


class Tuned(TypedDict):
    """metrics/tune.json: the winner of the search and its whole block."""

    model: str
    trials: int
    epochs: int
    trial: int
    validation_roc_auc: float
    values: dict[str, Any]
    block: Model


class Params(Section):
    seed: Seed
    data: Data
    prepare: Prepare
    scoring: Scoring
    models: dict[str, Model]
    tune: Tune

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        if not self.models:
            raise ValueError("models must hold at least one model")
        for name in self.models:
            if len(name) > 64:
                raise ValueError(f"models.{_shown(name)} is a name of {len(name)} characters; allowed: 64 or less")
            if name == "best":
                raise ValueError("models.best is the name of the tuned winner; choose another")
            script = Path(f"stages/train/{name}.py")
            if not name.isidentifier() or not script.is_file():
                raise ValueError(f"models.{name} has no script {script}")
        chosen = self.tune.models
        if isinstance(chosen, int):
            if chosen > len(self.models):
                raise ValueError(f"tune.models is {chosen}; allowed: 1 to {len(self.models)}, or a list of names")
        else:
            for name in chosen:
                if name not in self.models:
                    raise ValueError(f"tune.models names {name}; allowed: {', '.join(self.models)}")
            if not chosen:
                raise ValueError("tune.models is an empty list; allowed: a count, or names of models")
        return self

    @model_validator(mode="after")
    def _space_fits(self) -> "Params":
        named = self.tune.models if isinstance(self.tune.models, list) else self.models
        for family, block in (("cnn", Cnn), ("resnet", Resnet)):
            tuned = {name: self.models[name] for name in named if self.models[name].family == family}
            for knob, values in getattr(self.tune.space, family).items():
                where = f"tune.space.{family}.{knob}"
                if knob not in block.model_fields or knob == "family":
                    raise ValueError(f"{where} is no knob of a {family} block{_meant(knob, block.model_fields)}")
                ends = [values.low, values.high] if isinstance(values, Range) else values
                if not ends:
                    raise ValueError(f"{where} is an empty list; allowed: values to choose from")
                if self.tune.sampler == "grid" and isinstance(values, Range) and tuned:
                    raise ValueError(f"{where} is a range; allowed with tune.sampler grid: a list of values")
                for name, model in tuned.items():
                    own = getattr(model, knob)
                    if isinstance(values, Range) and (isinstance(own, bool) or not isinstance(own, int | float)):
                        raise ValueError(f"{where} is a range, but {name} has {own}; allowed: a list of values")
                    for value in ends:
                        override(model, {knob: value}, f"{where}, of {name}")
        return self


def override(block: Cnn | Resnet, changes: dict[str, Any], where: str) -> Cnn | Resnet:
    """A copy of a model's block with some knobs changed, checked. Raises ValueError that names the knob."""
    try:
        return type(block).model_validate(block.model_dump() | changes)
    except ValidationError as error:
        fault = error.errors()[0]
        found = fault["input"] if fault["loc"] else changes  # not the whole block, where its knobs do not fit together
        raise ValueError(f"{where}: {_shown(found)} is refused; {_sentence(fault)}") from None


def load(*sections: str) -> Any:
    """The named sections of params.yaml, in order (one: itself, several: a list), the whole file checked first.

    A section is a dotted key, `models.cnn2` say: what a stage asks for here is what dvc.yaml declares for it.
    Raises UserError with one line that names the key, the value found and what is allowed.
    """
    try:
        text = Path(FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{FILE}: is missing from this folder; run stages from the repository's root") from None
    except UnicodeDecodeError:
        raise UserError(f"{FILE}: is not UTF-8 text") from None
    # DVC reads and writes params with ruamel.yaml; PyYAML would take its 1e-05 for a string.
    try:
        raw = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, TypeError, RecursionError) as error:  # the last three for dates, keys and depth
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{FILE}{line}: is not valid YAML ({reason})") from None
    params = parse(raw)
    found = []
    for section in sections:
        value: Any = params
        for part in section.split("."):
            if isinstance(value, dict) and part not in value:
                raise UserError(f"{FILE}: {section} does not exist; allowed: {', '.join(value)}")
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        found.append(value)
    return found[0] if len(found) == 1 else found


def parse(raw: Any) -> Params:
    """Check the content of params.yaml. Raises UserError for the first fault."""
    if not isinstance(raw, dict):
        raise UserError(f"{FILE}: holds no mapping of sections; allowed: {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{FILE}: {_line(error, raw)}") from None


def _line(error: ValidationError, raw: dict) -> str:
    """One line for the most telling of the faults: an unknown key before the missing one that it may be."""
    faults = sorted(error.errors(), key=lambda fault: fault["type"] == "missing")
    fault = faults[0]
    key, siblings = _place(fault["loc"], raw)
    match fault["type"]:
        case "extra_forbidden":
            others = {f["loc"][-1] for f in faults if f["type"] == "missing"} | set(siblings)
            return f"{key} is not a known key{_meant(str(fault['loc'][-1]), others - {fault['loc'][-1]})}"
        case "missing":
            return f"{key} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            tag = fault["ctx"]["discriminator"].strip("'")
            found = repr(fault["ctx"]["tag"]) if "tag" in fault["ctx"] else "missing"
            return f"{key}.{tag} is {found}; allowed: {fault['ctx'].get('expected_tags', 'see the comments there')}"
        case "value_error" if not fault["loc"]:
            return _sentence(fault)
    return f"{key} is {_shown(fault['input'])}; {_sentence(fault)}"


def _shown(value: Any) -> str:
    """The value in at most 80 characters, however deep or long it is."""
    try:
        shown = _SHORT.repr(value)
    except ValueError:  # more digits than Python prints
        return "a number too long to show"
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _sentence(fault: dict) -> str:
    return fault["msg"].removeprefix("Value error, ").replace("\n", " ").replace("Input should", "allowed: it should")


def _place(loc: tuple, raw: Any) -> tuple[str, list[str]]:
    """The dotted key of a fault, without the names of union members that pydantic adds, and the keys beside it."""
    parts, siblings = [], []
    for index, part in enumerate(loc):
        known = (isinstance(raw, dict) and part in raw) or (isinstance(raw, list) and isinstance(part, int))
        if known or (index == len(loc) - 1 and isinstance(raw, dict)):
            siblings = list(map(str, raw)) if isinstance(raw, dict) else []
            parts.append(str(part))
            raw = raw[part] if known else None
    return ".".join(parts), siblings


def _meant(key: str, known: Any) -> str:
    close = difflib.get_close_matches(key, [str(name) for name in known], n=1)
    return f"; did you mean {close[0]}?" if close else ""
