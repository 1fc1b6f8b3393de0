"""The training scripts, one per model."""
