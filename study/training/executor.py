"""Where training runs happen: in this process, or on workers that the environment names."""

import contextlib
import importlib
import os
from typing import Any

# STUDY_WORKERS is a number of processes to start, DASK_SCHEDULER_ADDRESS a cluster that is there.
VARIABLES = ("STUDY_WORKERS", "DASK_SCHEDULER_ADDRESS")
CLIENT = "study.cluster.client"  # imported by name: it knows this package, and no result depends on it


def connected(*runs: int) -> contextlib.AbstractContextManager[Any]:
    """The workers for at most this number of runs; None within the context if this process trains."""
    if not any(os.environ.get(name) for name in VARIABLES):
        return contextlib.nullcontext()
    return importlib.import_module(CLIENT).connected(*runs)
