"""Training scripts by the name of their model."""

import importlib
from pathlib import Path

from stages.lib.errors import UserError
from stages.lib.training import Build


def build_of(name: str) -> Build:
    """The `build` of stages/train/NAME.py. Raises UserError where there is no such script."""
    if not name.isidentifier() or not Path(f"stages/train/{name}.py").is_file():
        raise UserError(f"model {name} has no script stages/train/{name}.py")
    return importlib.import_module(f"stages.train.{name}").build
