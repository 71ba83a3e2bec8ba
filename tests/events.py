"""Usage as tests send and store it, and what follows from it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.period import day_start
from core.resource import Resource
from core.tenant import Tenant
from core.usage import UsageEvent
from shell import closing
from shell.closing import Closed
from shell.session import closing_session, recording_session
from shell.usage import store as store_events
from tests.installation import Installation


def usage(
    event_id: str,
    *,
    source: str = "vm-1",
    resource: Resource = Resource.CPU,
    quantity: str = "1",
    at: datetime | None = None,
) -> UsageEvent:
    """One event, by default of half an hour ago."""
    occurred_at = at or datetime.now(UTC) - timedelta(minutes=30)
    return UsageEvent(event_id, source, resource, Decimal(quantity), occurred_at)


def on(
    day: date,
    quantity: str,
    *,
    resource: Resource = Resource.CPU,
    time_zone: str = "Europe/Berlin",
    source: str = "vm-1",
) -> UsageEvent:
    """One event in the twelfth hour of a local day."""
    at = day_start(day, time_zone) + timedelta(hours=11)
    return usage(f"{day}/{resource}", source=source, resource=resource, quantity=quantity, at=at)


def sent(event_id: str, **fields: Any) -> dict[str, Any]:
    """One event as a client sends it, by default of half an hour ago."""
    occurred_at = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    defaults = {"source": "vm-1", "resource": "cpu", "quantity": "1.5", "occurred_at": occurred_at}
    return {"id": event_id} | defaults | fields


async def store(installation: Installation, tenant: Tenant, *events: UsageEvent) -> int:
    """Store events, whatever their age; gives how many were new."""
    async with recording_session(installation.pool, tenant_id=tenant.id) as session:
        return await store_events(session, events)


async def close(installation: Installation, tenant: Tenant, now: datetime | None = None) -> Closed:
    """Aggregate, price and judge what is open."""
    async with closing_session(installation.pool, tenant.id) as session:
        return await closing.close_days(session, now or datetime.now(UTC))


async def used(installation: Installation, tenant: Tenant, events: Sequence[UsageEvent]) -> Closed:
    """Store events and close their days."""
    await store(installation, tenant, *events)
    return await close(installation, tenant)
