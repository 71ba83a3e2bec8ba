"""The API process: granian with the application, until it is told to stop."""

import os

from granian import Granian
from granian.constants import Interfaces, Loops

from shell.settings import load_settings

BACKLOG = 2_048
DRAIN_SECONDS = 2
"""For requests that are being answered when the process is told to stop."""


def main() -> None:
    """Entry point of `python -m web.serve`."""
    settings = load_settings(os.environ)
    Granian(
        "web.app:create",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.api_processes,
        loop=Loops.uvloop,
        backlog=BACKLOG,
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=DRAIN_SECONDS,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
