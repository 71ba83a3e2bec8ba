"""The deletion ledger in `public`: appended where something is erased, read after a backup was restored."""

import os
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from core.deletion_ledger import SALT_BYTES, Erased, ErasedKind, LedgerEntry, digest_of
from shell.queries import SQL
from shell.session import Session


async def append(session: Session, erased: Erased) -> None:
    """Remember in this transaction that something was erased.

    In a platform session or an owner's; one that goes on as a tenant appends before it enters.
    """
    now = datetime.now(UTC)
    salt = await session.connection.fetchval(SQL["ledger_salt"], now) or os.urandom(SALT_BYTES)
    await session.connection.execute(
        SQL["append_to_ledger"], uuid4(), erased.kind, salt, digest_of(erased, salt), now
    )


async def entries(session: Session) -> list[LedgerEntry]:
    """The whole ledger, the oldest entry first."""
    return [_entry_of(row) for row in await session.connection.fetch(SQL["deletion_ledger"])]


def _entry_of(row: asyncpg.Record) -> LedgerEntry:
    return LedgerEntry(row["id"], ErasedKind(row["kind"]), row["salt"], row["digest"], row["erased_at"])
