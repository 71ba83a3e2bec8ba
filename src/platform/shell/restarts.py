"""What ends is started again, but not for ever."""

import time

RESTARTS = 5
RESTARTS_WITHIN_SECONDS = 60.0
PAUSE_SECONDS = 1.0


class Restarts:
    """How often each of some processes ended lately."""

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self._ends: dict[str, list[float]] = {}

    def are_too_many(self, name: str) -> bool:
        """Note that a process ended now; whether it did so too often within the last minute."""
        now = time.monotonic()
        ends = [end for end in self._ends.get(name, []) if now - end < RESTARTS_WITHIN_SECONDS]
        self._ends[name] = [*ends, now]
        return len(ends) >= RESTARTS

    def pause_seconds(self, name: str) -> float:
        """How long to wait before it is started again: what ended once is missed, and started at once."""
        return PAUSE_SECONDS if len(self._ends.get(name, [])) > 1 else 0.0
