"""Events that could not be sent before the process ended, kept in a file until they are."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Spool:
    """A file of events, one a line, that is replaced whole; one process at a time may use it."""

    def __init__(self, path: Path) -> None:
        """The file need not exist."""
        self.path = path

    def read(self) -> list[Event]:
        """What an earlier process has left; the file stays until it is sent, so a crash loses nothing."""
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def write(self, events: Iterable[Event]) -> None:
        """Keep these events, and no others."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def clear(self) -> None:
        """Forget what was kept: it has been sent."""
        self.path.unlink(missing_ok=True)
