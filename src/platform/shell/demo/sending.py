"""Sending generated usage over HTTP, as an operator does it: a tenant may not send what is long past."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from core.period import Month, month_of
from core.tenant import Tenant
from core.usage import MAX_EVENTS, UsageEvent
from shell.api_client import ApiClient

BATCH: Final = MAX_EVENTS


async def send_usage(operator: ApiClient, tenant: Tenant, events: Sequence[UsageEvent]) -> None:
    """Send events that are in the order of time; those of one month arrive together, or not at all."""
    for batch in _batches(events, tenant.time_zone):
        body = [_without_empty(event) for event in batch]
        await asyncio.to_thread(operator.post, f"/api/v1/tenants/{tenant.id}/usage", body)


def months_of(events: Sequence[UsageEvent], time_zone: str) -> list[Month]:
    """The local months that events in the order of time lie in."""
    return [month for month, _ in groupby(events, lambda event: month_of(event.occurred_at, time_zone))]


def _batches(events: Sequence[UsageEvent], time_zone: str) -> Iterator[Sequence[UsageEvent]]:
    for _, of_month in groupby(events, lambda event: month_of(event.occurred_at, time_zone)):
        month = list(of_month)
        yield from (month[start : start + BATCH] for start in range(0, len(month), BATCH))


def _without_empty(event: UsageEvent) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(event).items() if value is not None}
