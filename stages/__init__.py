"""The stages of the pipeline: one module a stage, run as `python -m stages.NAME` by dvc.yaml."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
