"""Usage events of a tenant: stored once, listed newest first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from core.resource import Resource
from core.usage import UsageEvent
from shell.queries import SQL
from shell.retention import require_taken
from shell.session import TenantSession

UsageKey = tuple[datetime, str, str]


class StoredEvent(msgspec.Struct, frozen=True):
    """A usage event as it is kept."""

    id: str
    source: str
    resource: Resource
    quantity: Decimal
    occurred_at: datetime
    received_at: datetime
    attributes: dict[str, Any] | None


async def store(session: TenantSession, events: Sequence[UsageEvent]) -> int:
    """Store the events whose keys are new, in the order given; gives how many those are.

    Raises BeforeHorizon for what retention has deleted: its keys may be forgotten.
    """
    now = datetime.now(UTC)
    await require_taken(session, events, now)
    encoded = msgspec.json.encode(events).decode()
    return int(await session.connection.fetchval(SQL["insert_usage"], encoded, now))


async def page(
    session: TenantSession,
    *,
    resource: Resource | None,
    source: str | None,
    start: datetime | None,
    end: datetime | None,
    after: UsageKey | None,
    limit: int,
) -> list[StoredEvent]:
    """Events from the newest, after a key; one more than `limit`, where there are more."""
    rows = await session.connection.fetch(
        SQL["list_usage"], resource, source, start, end, *(after or (None, None, None)), limit + 1
    )
    return [_event(dict(row)) for row in rows]


def _event(row: dict[str, Any]) -> StoredEvent:
    attributes = row["attributes"]
    row["attributes"] = None if attributes is None else msgspec.json.decode(attributes)
    return msgspec.convert(row, StoredEvent)
