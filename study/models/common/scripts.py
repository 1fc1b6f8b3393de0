"""The training scripts, found by the names of their models.

No import statement names them. study/commands/deps.py knows that the importers of this module depend on them all.
"""

import importlib

from study.models.common.architecture import Architecture


def architecture(model: str) -> Architecture:
    """The `architecture` of stages/train/MODEL.py."""
    return importlib.import_module(f"stages.train.{model}").architecture
