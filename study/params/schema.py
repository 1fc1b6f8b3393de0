"""params.yaml as a typed model, with the rules that hold between its values."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from study.models.cnn.schema import Cnn
from study.models.common.schema import Block, Count, CountOrZero, Section
from study.models.resnet.schema import Resnet
from study.params import messages
from study.params.resizing import Resizing

BEST = "best"  # the tuned winner's name
CONTROL = "control"  # the name of the block that was tuned, trained for as many epochs as the winner
TRAINED_BY_BEST = (BEST, CONTROL)  # the models of a run that params.yaml does not name
# Names in the query of a URL under which services expect what must stay secret.
SECRETS = re.compile(
    r"(?i)token|secret|passw|pwd|credential|signature|^sig$|^auth$|authorization|api.?key|access.?key|^key$|jwt|session"
)
FAMILIES: dict[str, type[Block]] = {"cnn": Cnn, "resnet": Resnet}
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Model = Annotated[Cnn | Resnet, Field(discriminator="family")]


class Synthetic(Section):
    train_images: Annotated[int, Field(ge=1, le=100_000)]
    test_images: Annotated[int, Field(ge=1, le=100_000)]
    noise: Annotated[float, Field(ge=0, le=255)]
    duplicates: CountOrZero
    leaks: CountOrZero
    near_duplicates: CountOrZero
    near_leaks: CountOrZero

    @model_validator(mode="after")
    def _planted_images_fit_in(self) -> "Synthetic":
        planted = self.duplicates + self.leaks + self.near_duplicates + self.near_leaks
        if self.train_images < 60 + planted:
            raise ValueError(
                f"train_images is {self.train_images}; allowed: at least 60 + duplicates + leaks + near_duplicates + "
                f"near_leaks, {60 + planted}, so that cleaning empties no class"
            )
        for leaks in ("leaks", "near_leaks"):
            if self.test_images < max(20, getattr(self, leaks)):
                raise ValueError(
                    f"test_images is {self.test_images}; allowed: at least 20 and at least {leaks}, "
                    f"{getattr(self, leaks)}"
                )
        for copies in ("duplicates", "near_duplicates"):
            if getattr(self, copies) > self.train_images - planted:
                raise ValueError(
                    f"{copies} is {getattr(self, copies)}; allowed: at most the {self.train_images - planted} training "
                    "images that are no planted faults"
                )
        return self


class Data(Section):
    seed: Seed
    source: Literal["synthetic", "cifar10", "npz", "folder"]
    path: str | None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    folder: str
    image_size: Annotated[int, Field(ge=22, le=1024)]
    fit: Resizing
    synthetic: Synthetic

    @model_validator(mode="after")
    def _npz_is_pinned(self) -> "Data":
        if self.source == "npz" and (self.path is None or self.sha256 is None):
            raise ValueError(f"path is {self.path} and data.sha256 {self.sha256}; data.source npz needs both")
        return self

    @field_validator("path")
    @classmethod
    def _holds_no_secret(cls, path: str | None) -> str | None:
        if path and "://" in path and (secret := secret_in(path)):
            raise ValueError(
                f"allowed: no {secret}, which git and dvc.lock would keep; put user and password into ~/.netrc, or "
                "download the file and give its path"
            )
        return path


class Prepare(Section):
    seed: Seed
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    near_duplicates: Literal["group", "drop", "ignore"]


class Range(Section):
    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _low_is_below_high(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low is {self.low}; allowed: below high, {self.high}, and above 0 if log is true")
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
        BeforeValidator(lambda chosen: [chosen] if isinstance(chosen, str) else chosen),
    ]
    sampler: Literal["tpe", "grid"]
    trials: Count
    round_size: Count
    epochs: Count | None
    rungs: Annotated[int, Field(ge=1, le=20)]
    reduction_factor: Annotated[int, Field(ge=2, le=100)]
    finalists: Annotated[int, Field(ge=0, le=100)]
    repeats: Annotated[int, Field(ge=1, le=100)]
    space: Spaces

    @model_validator(mode="after")
    def _rungs_differ(self) -> "Tune":
        """Two rungs have the same length only if each has one epoch; so the second must have more."""
        least = self.reduction_factor ** (self.rungs - 2) if self.rungs > 1 else 0
        if self.epochs is not None and self.epochs <= least:
            raise ValueError(
                f"epochs is {self.epochs}; allowed: above {least}, so that the {self.rungs} rungs differ in length; "
                "raise epochs, or lower rungs or reduction_factor"
            )
        return self

    @model_validator(mode="after")
    def _finalists_have_a_seed_variance(self) -> "Tune":
        if self.finalists and self.repeats < 2:
            raise ValueError(
                f"repeats is {self.repeats}; allowed: 2 or more, or 1 with finalists 0: one run says nothing of seeds"
            )
        return self


class Report(Section):
    smallest_change: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    seed: Seed
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    data: Data
    prepare: Prepare
    models: dict[str, Model]
    tune: Tune
    report: Report

    @model_validator(mode="after")
    def _models_have_names(self) -> "Params":
        if not self.models:
            raise ValueError("models must hold at least one model")
        for name in self.models:
            if len(name) > 64:
                raise ValueError(
                    f"models.{messages.shown(name)} is a name of {len(name)} characters; allowed: 64 or less"
                )
            if name.lower() in TRAINED_BY_BEST:
                raise ValueError(f"models.{name} is the name of what the stage best trains; choose another")
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(f"models.{name} is no name; allowed: letters A to Z, digits and _, a letter first")
        if len({name.lower() for name in self.models}) < len(self.models):
            raise ValueError("models holds two names that differ in case only, and so name one file on some disks")
        return self

    @model_validator(mode="after")
    def _tuned_models_exist(self) -> "Params":
        chosen = self.tune.models
        if isinstance(chosen, int):
            if chosen > len(self.models):
                raise ValueError(f"tune.models is {chosen}; allowed: 1 to {len(self.models)}, or a list of names")
            return self
        for name in chosen:
            if name not in self.models:
                raise ValueError(f"tune.models names {messages.shown(name)}; allowed: {', '.join(self.models)}")
        if not chosen:
            raise ValueError("tune.models is an empty list; allowed: a count, or names of models")
        return self

    @model_validator(mode="after")
    def _space_fits_the_tuned_models(self) -> "Params":
        named = self.tune.models if isinstance(self.tune.models, list) else self.models
        for family, schema in FAMILIES.items():
            tuned = {name: self.models[name] for name in named if self.models[name].family == family}
            for key, values in getattr(self.tune.space, family).items():
                where = f"tune.space.{family}.{key}"
                if key not in schema.model_fields or key in ("family", "repeats"):
                    suggestion = messages.suggestion(key, schema.model_fields)
                    raise ValueError(f"{where} is no param of a {family} block{suggestion}")
                self._check_values(where, key, values, tuned)
        return self

    def _check_values(self, where: str, key: str, values: Range | Choices, tuned: dict[str, Block]) -> None:
        ends = [values.low, values.high] if isinstance(values, Range) else values
        if not ends:
            raise ValueError(f"{where} is an empty list; allowed: values to choose from")
        if self.tune.sampler == "grid" and isinstance(values, Range) and tuned:
            raise ValueError(f"{where} is a range; allowed with tune.sampler grid: a list of values")
        for name, block in tuned.items():
            own = getattr(block, key)
            if isinstance(values, Range) and (isinstance(own, bool) or not isinstance(own, int | float)):
                raise ValueError(f"{where} is a range, but {name} has {own}; allowed: a list of values")
            for value in ends:
                override(block, {key: value}, f"{where}, of {name}")


def secret_in(url: str) -> str | None:
    """What the URL holds that looks secret, in words that do not show it; None if nothing does."""
    parts = urlsplit(url)
    if "@" in parts.netloc or not re.fullmatch(r"[^:]*(:\d+)?|\[.*\](:\d+)?", parts.netloc):
        return "user and password"
    names = [name for name, _ in parse_qsl(f"{parts.query}&{parts.fragment}", keep_blank_values=True)]
    return next((f"secret {messages.shown(name)}" for name in names if SECRETS.search(name)), None)


def override(block: Block, changes: dict[str, Any], where: str) -> Block:
    """A checked copy of a model's block with some params changed. Raises ValueError that names `where`."""
    try:
        return block.changed(changes)
    except ValidationError as error:
        fault = error.errors()[0]
        value = fault["input"] if fault["loc"] else changes  # not the whole block, if its params do not fit together
        raise ValueError(f"{where}: {messages.shown(value)} is refused; {messages.allowed(fault)}") from None
