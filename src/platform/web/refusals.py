"""What a rule of membership refuses leaves an audit entry, although its transaction leaves nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from core.audit import Actor, AuditEntry, Outcome
from core.errors import LastOwner, NotPermitted, RoleTooHigh
from shell.audit import append_entry
from shell.session import tenant_session
from web.services import Services


@asynccontextmanager
async def refusals_audited(
    services: Services, tenant_id: UUID, action: str, subject: str, actor: Actor
) -> AsyncIterator[None]:
    """Append that an action was denied to the tenant's chain, and raise on."""
    try:
        yield
    except (LastOwner, NotPermitted, RoleTooHigh) as error:
        entry = AuditEntry(
            action, subject, actor, outcome=Outcome.DENIED, details={"reason": type(error).__name__}
        )
        async with tenant_session(services.pool, tenant_id=tenant_id) as session:
            await append_entry(session, entry)
        raise
