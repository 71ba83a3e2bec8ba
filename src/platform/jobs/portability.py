"""Exporting a tenant's data, and deleting packages that have expired."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import structlog

from core.audit import SYSTEM, AuditEntry
from core.errors import TenantGone
from core.job import Job
from core.portability import Format, Package
from core.tenant import require_readable
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import exports, tenants
from shell.audit import append_tenants_entry
from shell.object_store import ObjectStore
from shell.portability import write_package
from shell.session import platform_session, tenant_session

WRITTEN = 0.8
"""The share of the work that is done when a package is written and yet to be stored."""

log = structlog.get_logger()


async def export_tenant(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Write the tenant's package into a file that nobody sees, then store it, then let it be fetched.

    A worker that dies leaves nothing but, at worst, an object that nobody knows of, which the sweep deletes.
    """
    async with platform_session(context.pool, readonly=True) as session:
        if (await exports.get(session, job.id)).finished_at is not None:
            return
    tenant_id, store = tenant_of(job), ObjectStore(context.settings)
    object_name = exports.new_object_name(job.id)
    with _unseen_file(context.settings.data) as file:
        async with tenant_session(context.pool, tenant_id=tenant_id, snapshot=True) as session:
            package = await write_package(
                session,
                file,
                Format(job.args["format"]),
                datetime.now(UTC),
                told=lambda share: progress("write", WRITTEN * share),
            )
        await progress("store", WRITTEN)
        await store.put(object_name, file)
    # Any other error leaves the object: the row may say where it is although the commit's answer was lost.
    try:
        is_kept = await _finished(context, job, tenant_id, package, object_name)
    except TenantGone:
        await store.delete(object_name)
        raise
    if not is_kept:
        await store.delete(object_name)


async def _finished(
    context: WorkerContext, job: Job, tenant_id: UUID, package: Package, object_name: str
) -> bool:
    """Let the package be fetched, unless another attempt was first; raises TenantGone."""
    kept_for = timedelta(hours=context.settings.export_hours)
    async with platform_session(context.pool) as session:
        tenant = await tenants.lock(session, tenant_id)  # no erasure begins before this is committed
        require_readable(tenant.state)
        is_first = await exports.finish(session, job.id, package, object_name=object_name, kept_for=kept_for)
        if is_first:
            details = {"format": package.format, "rows": str(package.rows), "sha256": package.sha256}
            entry = AuditEntry("export.finished", f"export:{job.id}", SYSTEM, details=details)
            await append_tenants_entry(session, tenant, entry)
    return is_first


async def remove_expired_exports(context: WorkerContext) -> None:
    """Delete packages whose time is over, and what dead workers left behind."""
    now, store = datetime.now(UTC), ObjectStore(context.settings)
    expired = await exports.remove_expired(context.pool, store, now)
    orphans = await exports.remove_orphans(context.pool, store, now)
    leftovers = await store.remove_leftovers(before=now - exports.ORPHANED_AFTER)
    if expired or orphans or leftovers:
        log.info("exports.removed", expired=expired, orphans=orphans, leftovers=leftovers)


@contextmanager
def _unseen_file(data: Path) -> Iterator[BinaryIO]:
    """A file without a name: it is gone with its process, however that ends."""
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=data) as file:
        yield file
