"""The stages of the pipeline: one module a stage, run as `python -m stages.NAME` by dvc.yaml."""

import os

# TensorFlow's notes on the processor and on missing GPUs; its faults arrive as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
