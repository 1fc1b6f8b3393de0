"""Limits of time that grow with the machine, and with what else it does."""

import statistics
import subprocess
import sys
import time
from functools import cache

# Seconds that a new interpreter takes to import NumPy on an idle machine of the kind that the limits were set for.
REFERENCE = 0.1
MEASURED = 3  # imports; their median counts, because the first may wait for the disk


def seconds(count: float) -> float:
    """Seconds for what takes at most `count` of them on an idle machine: as many times more as this one is slower."""
    return count * max(1.0, _import_seconds() / REFERENCE)


@cache
def _import_seconds() -> float:
    def one() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numpy"], check=True)
        return time.perf_counter() - start

    return statistics.median(one() for _ in range(MEASURED))
