"""Training scripts by the name of their model."""

import importlib

from stages.lib.training import Build


def build_of(name: str) -> Build:
    """The `build` of stages/train/NAME.py."""
    return importlib.import_module(f"stages.train.{name}").build
