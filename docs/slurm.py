"""Ask Slurm for workers, one per job, and run their scheduler here until Ctrl-C."""

import contextlib
import os
import signal
from pathlib import Path

from dask_jobqueue import SLURMCluster

WORKERS = 8
JOB = {
    "queue": "gpu",  # the partition
    "job_cpu": 2,  # cores of a job: the param `threads`
    "memory": "8GB",
    "walltime": "12:00:00",  # longer than the longest run
    "job_extra_directives": ["--gres=gpu:1"],  # leave it out where there are no GPUs
}


def workers() -> SLURMCluster:
    return SLURMCluster(
        **JOB,
        cores=1,  # of Dask: one run at a time
        processes=1,
        python=".venv/bin/python",
        worker_extra_args=["--preload", "study.cluster.worker", "--memory-limit", "0"],
        job_script_prologue=[f"cd {Path.cwd()}", f"export DASK_CONFIG={os.environ['DASK_CONFIG']}"],
        scheduler_options={"protocol": "tls", "dashboard_address": "127.0.0.1:0"},
    )


if __name__ == "__main__":
    with workers() as cluster, contextlib.suppress(KeyboardInterrupt):
        cluster.adapt(minimum_jobs=WORKERS, maximum_jobs=WORKERS)  # a job that ends is replaced
        print(f"export DASK_SCHEDULER_ADDRESS={cluster.scheduler_address}", flush=True)
        signal.pause()
