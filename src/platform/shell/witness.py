"""The witness: checkpoints are handed to a file or a URL outside the database, where nobody rewrites them."""

import os
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import structlog

from core.checkpoint import parse_note
from shell.database import Pool
from shell.measures import WITNESS_FAILURES
from shell.queries import SQL
from shell.session import platform_session
from shell.settings import Settings

TIMEOUT_SECONDS = 5

log = structlog.get_logger()


class Seen(msgspec.Struct, frozen=True):
    """A line of a witness's file."""

    checkpoint: str


class Witness:
    """Tells checkpoints to the file and the URL of the settings, if any.

    What one of them does not take is kept, the latest of each chain, and told again with the next ones.
    """

    def __init__(self, settings: Settings, notes: list[str]) -> None:
        """Begin with the latest checkpoints: one that was signed before a crash may never have been told."""
        self._tell: list[Callable[[str], None]] = []
        if settings.audit_witness_file is not None:
            self._tell.append(partial(_append, settings.audit_witness_file))
        if settings.audit_witness_url is not None:
            self._tell.append(partial(_post, settings.audit_witness_url))
        self._untold = [_by_origin(notes) for _ in self._tell]

    def tell(self, notes: list[str]) -> None:
        """Tell new checkpoints and what is left of earlier ones; blocks for as long as that takes."""
        for tell, untold in zip(self._tell, self._untold, strict=True):
            untold.update(_by_origin(notes))
            try:
                for origin, note in list(untold.items()):
                    tell(note)
                    del untold[origin]
            except OSError as error:  # of files, and of urllib
                WITNESS_FAILURES.inc()
                log.warning("audit.witness_away", error=type(error).__name__, untold=len(untold))


async def latest_checkpoints(pool: Pool) -> list[str]:
    """The latest checkpoint of each chain."""
    async with platform_session(pool, readonly=True) as session:
        return [row["note"] for row in await session.connection.fetch(SQL["latest_checkpoints"])]


def _by_origin(notes: list[str]) -> dict[str, str]:
    return {parse_note(note).checkpoint.origin: note for note in notes}


def _append(file: Path, note: str) -> None:
    """Append a line, and have it on the disk."""
    with file.open("ab") as stream:
        stream.write(msgspec.json.encode(Seen(note)) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _post(url: str, note: str) -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    request = urllib.request.Request(url, note.encode(), headers, method="POST")  # noqa: S310 -- http(s), checked
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 -- the same
        answer.read()
