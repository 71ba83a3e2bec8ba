"""Exporting a chain as a file that can be checked without us; docs/audit.md specifies it."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec

from core.audit import private_part
from core.checkpoint import parse_note
from core.verification import FORMAT
from shell.audit_log import checkpoint
from shell.database import Pool
from shell.queries import SQL
from shell.session import platform_session

AT_A_TIME = 1_000


class Export(msgspec.Struct, frozen=True):
    """What there is to export: all entries up to a checkpoint."""

    chain: str
    origin: str
    size: int
    note: str


async def begin_export(pool: Pool, chain: str) -> Export:
    """What there is to export up to the latest checkpoint; raises NotFound where there is none yet."""
    async with platform_session(pool, readonly=True) as session:
        note = await checkpoint(session, chain)
    head = parse_note(note).checkpoint
    return Export(chain, head.origin, head.size, note)


async def export_lines(pool: Pool, export: Export) -> AsyncIterator[bytes]:
    """The file in chunks of whole lines, each read in a transaction of its own: a reader may be slow."""
    yield _line({"chain": export.chain, "format": FORMAT, "origin": export.origin})
    for start in range(0, export.size, AT_A_TIME):
        end = min(start + AT_A_TIME, export.size)
        async with platform_session(pool, readonly=True) as session:
            rows = await session.connection.fetch(
                SQL["export_entries"], export.chain, start, end, export.size
            )
        yield b"".join(_lines(row) for row in rows)
    yield _line({"checkpoint": export.note})


def _line(value: dict[str, str]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _lines(row: asyncpg.Record) -> bytes:
    """An entry, and the checkpoint that was signed when it was the last, if any."""
    parts = [b'{"entry":', row["canonical"], b',"entry_hash":"', row["entry_hash"].hex().encode(), b'"']
    if row["details"] is not None:
        private, salt = private_part(row["address"], row["details"]), (row["salt"] or b"").hex().encode()
        parts += [b',"private":', private, b',"salt":"', salt, b'"']
    parts.append(b"}\n")
    if row["note"] is not None:
        parts.append(_line({"checkpoint": row["note"]}))
    return b"".join(parts)
