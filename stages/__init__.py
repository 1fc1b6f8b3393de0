"""The stages of the pipeline: one module per stage, run as `python -m stages.NAME` by dvc.yaml."""

from study.base import runtime

runtime.set_up()
