"""The deletion ledger in `public`: appended where something is erased, read after a backup was restored."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import msgspec

from core.deletion_ledger import SALT_BYTES, Erased, ErasedKind, LedgerEntry, digest_of
from shell.database import Pool
from shell.object_store import ObjectStore
from shell.queries import SQL
from shell.session import Session, platform_session

FOLDER = "deletion-ledger"
"""Where in the object store the copies are."""


async def append(session: Session, erased: Erased) -> None:
    """Remember in this transaction that something was erased.

    In a platform session or an owner's; one that goes on as a tenant appends before it enters.
    """
    now = datetime.now(UTC)
    salt = await session.connection.fetchval(SQL["ledger_salt"], now) or os.urandom(SALT_BYTES)
    await session.connection.execute(
        SQL["append_to_ledger"], uuid4(), erased.kind, salt, digest_of(erased, salt), now
    )


async def knows(session: Session, erased: Erased) -> bool:
    """Whether something was erased."""
    found = await session.connection.fetchval(SQL["is_in_ledger"], erased.kind.value, erased.name)
    return bool(found)


async def entries(session: Session) -> list[LedgerEntry]:
    """The whole ledger, the oldest entry first."""
    return [_entry_of(row) for row in await session.connection.fetch(SQL["deletion_ledger"])]


async def mirror(pool: Pool, objects: ObjectStore) -> int:
    """Copy what was appended since to the object store, an object each; gives how many entries.

    A database that is restored brings its old ledger back: the copies know what was erased since.
    """
    async with platform_session(pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["unmirrored_entries"])
    for entry in map(_entry_of, rows):
        await objects.put(f"{FOLDER}/{entry.id}.json", msgspec.json.encode(entry))
        async with platform_session(pool) as session:
            await session.connection.execute(SQL["mark_mirrored"], entry.id, datetime.now(UTC))
    return len(rows)


async def mirrored(objects: ObjectStore) -> list[LedgerEntry]:
    """The entries that the object store has."""
    return [
        msgspec.json.decode(await objects.get(found.name), type=LedgerEntry)
        async for found in objects.under(FOLDER)
    ]


async def bring_back(session: Session, known: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Complete the ledger by entries that copies know; gives the whole ledger."""
    now = datetime.now(UTC)
    for entry in known:
        await session.connection.execute(
            SQL["bring_back_entry"], entry.id, entry.kind, entry.salt, entry.digest, entry.erased_at, now
        )
    return await entries(session)


def _entry_of(row: asyncpg.Record) -> LedgerEntry:
    return LedgerEntry(row["id"], ErasedKind(row["kind"]), row["salt"], row["digest"], row["erased_at"])
