"""Appending audit entries, in the transaction that they speak of."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from core.audit import PLATFORM_CHAIN, AuditEntry
from core.tenant import Tenant
from shell.queries import SQL
from shell.session import Session, TenantSession


async def append_entry(session: TenantSession, entry: AuditEntry) -> None:
    """Append to the tenant's own chain; the database admits no other from a tenant session."""
    await _append(session, session.tenant.schema, entry)


async def append_tenants_entry(session: Session, tenant: Tenant, entry: AuditEntry) -> None:
    """Append to a tenant's chain what a platform session did for it."""
    await _append(session, tenant.schema, entry)


async def append_platform_entry(session: Session, entry: AuditEntry) -> None:
    """Append to the platform's chain."""
    await _append(session, PLATFORM_CHAIN, entry)


async def _append(session: Session, chain: str, entry: AuditEntry) -> None:
    await session.connection.execute(
        SQL["append_audit_entry"],
        uuid4(),
        chain,
        datetime.now(UTC),
        entry.actor.kind,
        entry.actor.id,
        entry.action,
        entry.subject,
        entry.outcome,
        entry.actor.request_id,
        entry.actor.address,
        msgspec.json.encode(entry.details, order="sorted").decode(),
    )
