import copy
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def raw_params() -> dict:
    """params.yaml as committed, free to change."""
    return copy.deepcopy(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def prepared():
    """Forty tiny training images of two classes that differ in brightness, twelve for validation."""
    import numpy as np

    from stages.lib.dataset import Prepared, Split

    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = rng.integers(0, 128, (count, 32, 32, 3)) + 127 * labels[:, None, None, None]
        return Split(images.astype(np.uint8), labels)

    return Prepared(split(40), split(12), ["dark", "light"])
