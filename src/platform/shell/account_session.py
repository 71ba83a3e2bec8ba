"""The session that an account lives in: its tenant's, or the platform's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.audit import AuditEntry
from core.tenant import PLATFORM_SLUG, Tenant
from shell.audit import append_entry, append_platform_entry
from shell.database import Pool
from shell.session import Session, TenantSession, platform_session, tenant_session


@asynccontextmanager
async def account_session(pool: Pool, slug: str, *, readonly: bool = False) -> AsyncIterator[Session]:
    """The session that an account lives in: its tenant's, or the platform's own."""
    if slug == PLATFORM_SLUG:
        async with platform_session(pool, readonly=readonly) as session:
            yield session
    else:
        async with tenant_session(pool, slug=slug, readonly=readonly) as tenant_:
            yield tenant_


def tenant_in(session: Session) -> Tenant | None:
    """The tenant whose session this is; None for the platform's own."""
    return session.tenant if isinstance(session, TenantSession) else None


async def append_account_entry(session: Session, entry: AuditEntry) -> None:
    """Append to the chain of the account's tenant, or to the platform's."""
    if isinstance(session, TenantSession):
        await append_entry(session, entry)
    else:
        await append_platform_entry(session, entry)
