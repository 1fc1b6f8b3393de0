"""How much time is left of long work."""

import time


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
