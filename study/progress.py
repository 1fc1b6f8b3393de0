"""What long work shows: which stage of how many, and how much time is left."""

import os
import time
from pathlib import Path

import yaml


def stage_of_stages() -> str:
    """`stage 4 of 18`, where DVC runs this process, in the order of dvc.yaml; else nothing.

    A dvc.yaml or params.yaml that cannot be read gives nothing here: who needs it says what is wrong.
    """
    name = os.environ.get("DVC_STAGE")
    if not name:
        return ""
    try:
        stages, params = (
            yaml.safe_load(Path(path).read_text(encoding="utf-8")) for path in ("dvc.yaml", "params.yaml")
        )
        names = []
        for stage, content in stages["stages"].items():
            names += [f"{stage}@{model}" for model in params["models"]] if "foreach" in content else [stage]
        return f"stage {names.index(name) + 1} of {len(names)}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError):
        return ""


class Estimate:
    """The time that is left of equal parts of work, from the time that the finished ones took."""

    def __init__(self, parts: int):
        self.started, self.parts, self.finished = time.monotonic(), parts, 0

    def finish(self, parts: int = 1) -> str:
        """Count finished parts; the time left, as `duration`."""
        self.finished += parts
        return duration((time.monotonic() - self.started) / self.finished * max(0, self.parts - self.finished))


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s` or `2 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
