"""Exports: packages that were asked for, where they are kept, and until when."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.audit import SYSTEM, AuditEntry
from core.errors import ExportsFull, NotFound
from core.job import JobState
from core.portability import Format, Package
from shell import tenants
from shell.audit import append_tenants_entry
from shell.database import Pool
from shell.object_store import ObjectStore
from shell.queries import SQL
from shell.session import Session, platform_session

FOLDER = "exports"
"""Where in the object store packages are kept."""

ORPHANED_AFTER = timedelta(days=1)
AT_A_TIME = 100
MOST_OF_A_TENANT = 10


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was asked for; its size and digest are there once it is finished."""

    id: UUID
    tenant_id: UUID
    format: Format
    state: JobState
    progress: float
    error: str | None
    requested_by: UUID | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    deleted_at: datetime | None
    size: int | None
    sha256: str | None
    rows: int | None


class Kept(msgspec.Struct, frozen=True):
    """A finished package in the object store."""

    export: Export
    object_name: str


async def insert(
    session: Session, export_id: UUID, tenant_id: UUID, format_: Format, *, by: UUID | None
) -> None:
    """Remember an export that a job was queued for, once."""
    await session.connection.execute(
        SQL["insert_export"], export_id, tenant_id, format_, by, datetime.now(UTC)
    )


async def require_room(session: Session, tenant_id: UUID, *, but: UUID, hours: int) -> None:
    """Raise ExportsFull where a tenant has as many packages as it may, beside one."""
    if await session.connection.fetchval(SQL["open_exports"], tenant_id, but) >= MOST_OF_A_TENANT:
        raise ExportsFull(most=MOST_OF_A_TENANT, hours=hours)


async def get(session: Session, export_id: UUID) -> Export:
    """An export; raises NotFound."""
    return _export(await _row(session, export_id))


async def kept(session: Session, export_id: UUID) -> Kept:
    """An export whose package can be fetched; raises NotFound."""
    row = await _row(session, export_id)
    if row["object_name"] is None or row["deleted_at"] is not None:
        raise NotFound(what="export")
    return Kept(_export(row), row["object_name"])


async def page(
    session: Session, tenant_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Export]:
    """A tenant's exports by age, from the one after `after`; one more than `limit`, where there are more."""
    created_at, export_id = after or (None, None)
    rows = await session.connection.fetch(SQL["exports_page"], tenant_id, created_at, export_id, limit + 1)
    return [_export(row) for row in rows]


def new_object_name(export_id: UUID) -> str:
    """A name that no other attempt at the same export has."""
    return f"{FOLDER}/{export_id}/{uuid4()}.tar.gz"


async def finish(
    session: Session, export_id: UUID, package: Package, *, object_name: str, kept_for: timedelta
) -> bool:
    """Let the package be fetched; false where another attempt was first."""
    now = datetime.now(UTC)
    finished = await session.connection.fetchval(
        SQL["finish_export"],
        export_id, object_name, package.size, package.sha256, package.rows, now, now + kept_for,
    )  # fmt: skip
    return finished is not None


async def remove_expired(pool: Pool, store: ObjectStore, now: datetime) -> int:
    """Delete the packages that have expired, each audited; gives how many."""
    async with platform_session(pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["expired_exports"], now, AT_A_TIME)
    return await _remove(pool, store, rows, "export.expired")


async def remove_of_tenant(pool: Pool, store: ObjectStore, tenant_id: UUID) -> int:
    """Delete all packages of a tenant that is erased, each audited; gives how many."""
    async with platform_session(pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["exports_kept_of_tenant"], tenant_id)
    return await _remove(pool, store, rows, "export.erased")


async def remove_orphans(pool: Pool, store: ObjectStore, now: datetime) -> int:
    """Delete packages that a worker stored and died before it could say so; gives how many."""
    old = [each.name async for each in store.under(FOLDER) if each.modified_at < now - ORPHANED_AFTER]
    async with platform_session(pool, readonly=True) as session:
        known = {row["object_name"] for row in await session.connection.fetch(SQL["kept_objects"], old)}
    for name in old:
        if name not in known:
            await store.delete(name)
    return len(old) - len(known)


async def _remove(pool: Pool, store: ObjectStore, rows: list[asyncpg.Record], action: str) -> int:
    for row in rows:
        await store.delete(row["object_name"])  # first: what is marked as deleted must be gone
        async with platform_session(pool) as session:
            if await session.connection.fetchval(SQL["mark_export_deleted"], row["id"], datetime.now(UTC)):
                tenant = await tenants.get(session, row["tenant_id"])
                entry = AuditEntry(action, f"export:{row['id']}", SYSTEM)
                await append_tenants_entry(session, tenant, entry)
    return len(rows)


async def _row(session: Session, export_id: UUID) -> asyncpg.Record:
    row = await session.connection.fetchrow(SQL["export"], export_id)
    if row is None:
        raise NotFound(what="export")
    return row


def _export(row: asyncpg.Record) -> Export:
    return Export(
        id=row["id"],
        tenant_id=row["tenant_id"],
        format=Format(row["format"]),
        state=_state(row),
        progress=1.0 if row["finished_at"] else row["progress"] or 0.0,
        error=row["error"],
        requested_by=row["requested_by"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        deleted_at=row["deleted_at"],
        size=row["size"],
        sha256=row["sha256"],
        rows=row["rows"],
    )


def _state(row: asyncpg.Record) -> JobState:
    """A finished package is there whatever its job still does; a job that is forgotten had failed."""
    if row["finished_at"] is not None:
        return JobState.DONE
    return JobState(row["job_state"] or JobState.FAILED)
