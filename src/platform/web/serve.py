"""The API process: granian with the application, until it is told to stop."""

import os

from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings, HTTP2Settings

from shell.settings import load_settings
from web.draining import DrainingServer

BACKLOG = 2_048
HEAD_MILLISECONDS = 15_000
"""A request's head must arrive within this time; for its body there is the limit of `web.edge`."""

LONGEST_HEAD = 64 * 1024
GRACE_SECONDS = 2
"""Beyond what a request may take, for the process to end in good order."""


def main() -> None:
    """Entry point of `python -m web.serve`."""
    settings = load_settings(os.environ)
    server = DrainingServer(
        "web.app:create",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.api_processes,
        loop=Loops.uvloop,
        backlog=BACKLOG,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_MILLISECONDS),
        http2_settings=HTTP2Settings(max_headers_size=LONGEST_HEAD),
        log_enabled=False,
        workers_kill_timeout=settings.request_seconds + GRACE_SECONDS,
        respawn_failed_workers=True,
    )
    server.drain_delay_seconds = settings.drain_delay_seconds
    server.serve()


if __name__ == "__main__":
    main()
