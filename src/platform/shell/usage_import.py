"""Importing files of usage into a tenant: in batches, each stored once, whatever interrupts the import."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import msgspec

from core.errors import BeforeHorizon, PlatformError
from core.tenant import require_writable
from core.usage import since, window
from core.usage_import import (
    BadRow,
    ColumnMapping,
    Reading,
    fingerprint,
    latest_day,
    read_rows,
    shifted_to,
)
from shell import usage
from shell.database import Pool, retried
from shell.queries import SQL
from shell.session import recording_session, tenant_session
from shell.usage_files import Piece, UsageFile, pieces

KEPT_BAD_ROWS: Final = 100


class ImportOvertaken(PlatformError):
    """The import of {file} has been moved on meanwhile, by another import of it; run it again to continue."""

    fields = ("file",)


class Progress(msgspec.Struct, frozen=True):
    """How far a file has been imported: rows that are done with, and what became of them."""

    rows_done: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class Imported(msgspec.Struct, frozen=True):
    """What an import did: the rows that it read, and the first hundred of the bad ones.

    `earlier` is what an interrupted or finished import of the same file had done before; its rows are not
    read again.
    """

    accepted: int
    duplicates: int
    rejected: int
    bad_rows: list[BadRow]
    earlier: Progress | None = None

    @property
    def rows(self) -> int:
        """How many rows this import read, blank ones aside."""
        return self.accepted + self.duplicates + self.rejected


def import_id(file: UsageFile, mapping: ColumnMapping) -> str:
    """Names the import of one content, read in one way."""
    return hashlib.sha256(file.digest + fingerprint(mapping)).hexdigest()


async def last_day_of(file: UsageFile, mapping: ColumnMapping) -> date | None:
    """The last local day of the series in a file; None where no row has a time."""
    return await asyncio.to_thread(_last_day, file, mapping)


async def shift_to(file: UsageFile, mapping: ColumnMapping, target: date) -> ColumnMapping:
    """The mapping that makes the target the last day of the file's series."""
    last_day = await last_day_of(file, mapping)
    return mapping if last_day is None else shifted_to(mapping, last_day=last_day, target=target)


async def import_usage(
    pool: Pool,
    *,
    slug: str,
    file: UsageFile,
    mapping: ColumnMapping,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Import a file, or what is left of it after an interruption; a finished one adds nothing.

    A file that was imported with bad rows is read again from its start, since they may be good by now (what
    was in the future no longer is), and counts nothing twice. `progress` is told how many rows are done.

    Raises NotFound, TenantNotReady, TenantNotWritable and TenantGone for a tenant that takes no usage,
    FileUnusable for a damaged file, ImportOvertaken where two imports of the file run at once.
    """
    run = _Run(pool, slug, import_id(file, mapping), file, mapping)
    earlier = await _earlier(run)
    start = earlier if earlier is not None and not _worth_rereading(earlier, file) else None
    stored, done = earlier or Progress(), start or Progress()
    bad_rows: list[BadRow] = []
    remaining = pieces(file, mapping.columns, after=done.rows_done)
    while (piece := await asyncio.to_thread(next, remaining, None)) is not None:
        done, bad = await _stored(run, piece, expected=stored.rows_done, before=done)
        stored = done
        bad_rows += bad[: KEPT_BAD_ROWS - len(bad_rows)]
        if progress is not None:
            progress(done.rows_done)
    return _imported(done, earlier=start, bad_rows=bad_rows)


class _Run(msgspec.Struct, frozen=True):
    """Which file is imported into which tenant, and how, and the key that this is remembered by."""

    pool: Pool
    slug: str
    key: str
    file: UsageFile
    mapping: ColumnMapping


async def _earlier(run: _Run) -> Progress | None:
    async with tenant_session(run.pool, slug=run.slug, readonly=True) as session:
        require_writable(session.tenant.state)
        row = await session.connection.fetchrow(SQL["usage_import"], run.key)
    return None if row is None else msgspec.convert(dict(row), Progress)


def _worth_rereading(earlier: Progress, file: UsageFile) -> bool:
    return earlier.rejected > 0 and earlier.rows_done >= file.rows


async def _stored(
    run: _Run, piece: Piece, *, expected: int, before: Progress
) -> tuple[Progress, list[BadRow]]:
    """How far the import is with a piece more, and the piece's bad rows."""
    # An operator fills in the past, up to what retention has deleted; the future is limited for everybody.
    allowed = window(datetime.now(UTC), backfill=True)
    reading = await asyncio.to_thread(read_rows, piece.rows, run.mapping, allowed)
    store = partial(_store, run, piece, expected=expected, before=before)
    try:
        return await retried(partial(store, reading)), reading.bad_rows
    except BeforeHorizon as refused:
        kept = since(allowed, refused)
        reading = await asyncio.to_thread(read_rows, piece.rows, run.mapping, kept)
        return await retried(partial(store, reading)), reading.bad_rows


async def _store(run: _Run, piece: Piece, reading: Reading, *, expected: int, before: Progress) -> Progress:
    """Store a batch and, in the same transaction, that it is stored; `expected` is what was stored before."""
    async with recording_session(run.pool, slug=run.slug) as session:
        require_writable(session.tenant.state)
        accepted = await usage.store(session, reading.events) if reading.events else 0
        done = Progress(
            rows_done=piece.end,
            accepted=before.accepted + accepted,
            duplicates=before.duplicates + len(reading.events) - accepted,
            rejected=before.rejected + len(reading.bad_rows),
        )
        name = run.file.path.name
        status = await session.connection.execute(
            SQL["advance_usage_import"],
            run.key,
            name,
            *msgspec.structs.astuple(done),
            datetime.now(UTC),
            expected,
        )
        if status == "INSERT 0 0":
            raise ImportOvertaken(file=name)
    return done


def _imported(done: Progress, *, earlier: Progress | None, bad_rows: list[BadRow]) -> Imported:
    before = earlier or Progress()
    return Imported(
        accepted=done.accepted - before.accepted,
        duplicates=done.duplicates - before.duplicates,
        rejected=done.rejected - before.rejected,
        bad_rows=bad_rows,
        earlier=earlier,
    )


def _last_day(file: UsageFile, mapping: ColumnMapping) -> date | None:
    times = (row for piece in pieces(file, [mapping.occurred_at.name]) for _, row in piece.rows)
    return latest_day((row[mapping.occurred_at.name] for row in times), mapping.time_zone)
