"""Closing days: what new events touched is aggregated, priced and judged, in the tenant's one transaction."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import cast
from uuid import uuid4

import asyncpg
import msgspec
import polars as pl

from core.aggregation import EVENTS, Daily, daily_usage, daily_usage_of_few
from core.anomaly import Judgement, days_to_judge, judge_days
from core.costing import DailyUsage, cost_records
from core.period import Span, days_of_quarter_hours, local_day, spans
from core.pricing import RateCard
from core.resource import Resource
from shell.queries import SQL
from shell.session import TenantSession

FEW_EVENTS_BYTES = 32 * 1024
"""Below this, some two thousand events, a Polars query's fixed cost would be the larger part of the work."""


class Batches(msgspec.Struct, frozen=True):
    """Batches of events that have not been aggregated yet, and the local days that they touched."""

    ids: list[int]
    days: list[date]


class Closed(msgspec.Struct, frozen=True):
    """What closing did: the days it aggregated, the days it judged, and the anomalies that are new."""

    aggregated: list[date]
    judged: list[date]
    new_anomalies: list[Resource]


async def close_days(
    session: TenantSession,
    card: RateCard,
    now: datetime,
    progress: Callable[[float], None] = lambda _: None,
) -> Closed:
    """Aggregate, price and judge exactly what is open; doing it twice changes nothing.

    Raises PriceMissing where a resource has no price on a day.
    """
    today = local_day(now, session.tenant.time_zone)
    await session.connection.execute(SQL["lock_closing"], session.tenant.schema)
    batches = await _open_batches(session)
    aggregated = await _aggregated(session, batches.days, progress)
    reopened = days_to_judge(batches.days, today)
    known = await session.connection.fetch(SQL["usage_to_judge"], today, min(reopened, default=None))
    usage = [*(_usage(row) for row in known), *(item for item, _ in aggregated)]
    open_days = _open_days(known, usage, reopened)
    if batches.ids:
        figures = _json(_figures(aggregated, card))
        await session.connection.execute(SQL["write_days"], figures, now, today, batches.ids)
    if not {item.day for item, _ in aggregated}.issuperset(open_days):
        await session.connection.execute(SQL["mark_judged"], open_days)
    new = await _judge(session, open_days, known, usage, now)
    return Closed(batches.days, open_days, new)


async def has_open_days(session: TenantSession, now: datetime) -> bool:
    """Whether there is anything to close."""
    today = local_day(now, session.tenant.time_zone)
    return bool(await session.connection.fetchval(SQL["has_open_days"], today))


async def _open_batches(session: TenantSession) -> Batches:
    rows = await session.connection.fetch(SQL["usage_batches"])
    quarter_hours = {instant for row in rows for instant in row["quarter_hours"]}
    days = days_of_quarter_hours(quarter_hours, session.tenant.time_zone)
    return Batches([row["id"] for row in rows], days)


async def _aggregated(
    session: TenantSession, days: Sequence[date], progress: Callable[[float], None]
) -> list[tuple[DailyUsage, int]]:
    """What the events of these days sum to, and how many they are."""
    found: list[tuple[DailyUsage, int]] = []
    runs = spans(days, session.tenant.time_zone)
    for done, span in enumerate(runs):
        progress(done / len(runs))
        found += [
            (DailyUsage(day, Resource(resource), quantity), events)
            for day, resource, quantity, events in _summed(await _events(session, span), span.first)
        ]
    return found


def _summed(events: bytes, first_day: date) -> list[Daily]:
    if len(events) <= FEW_EVENTS_BYTES:
        fields = (line.split(",") for line in events.decode().splitlines())
        rows = ((int(number), resource, Decimal(quantity)) for number, resource, quantity in fields)
        return daily_usage_of_few(rows, first_day=first_day)
    frame = pl.read_csv(events, has_header=False, schema=EVENTS)
    return cast("list[Daily]", daily_usage(frame, first_day=first_day).rows())


async def _events(session: TenantSession, span: Span) -> bytes:
    """The events of consecutive days as CSV, in the columns that aggregation needs."""
    starts = ",".join(instant.isoformat() for instant in span.starts)
    query = SQL["copy_events"].format(
        starts="{" + starts + "}", start=span.starts[0].isoformat(), end=span.end.isoformat()
    )
    chunks: list[bytes] = []

    async def take(chunk: bytes) -> None:  # a file would be written to in another thread, chunk by chunk
        chunks.append(chunk)

    await session.connection.copy_from_query(query, output=take, format="csv")
    return b"".join(chunks)


def _figures(aggregated: Sequence[tuple[DailyUsage, int]], card: RateCard) -> list[dict[str, object]]:
    records = cost_records([item for item, _ in aggregated], card)
    return [
        {**msgspec.structs.asdict(record), **msgspec.structs.asdict(record.cost), "events": events}
        for record, (_, events) in zip(records, aggregated, strict=True)
    ]


def _open_days(
    known: Sequence[asyncpg.Record], usage: Sequence[DailyUsage], reopened: Sequence[date]
) -> list[date]:
    """The days of use to judge: those that never were, and those whose verdict falls."""
    never_judged = {row["day"] for row in known if not row["judged"]}
    return sorted(never_judged | ({item.day for item in usage} & set(reopened)))


async def _judge(
    session: TenantSession,
    days: Sequence[date],
    known: Sequence[asyncpg.Record],
    usage: Sequence[DailyUsage],
    now: datetime,
) -> list[Resource]:
    """Make the anomalies of these days what their usage says; gives the resources of the new ones."""
    found = [_anomaly(judgement) for judgement in judge_days(days, usage) if judgement.is_anomaly]
    if not found and {row["day"] for row in known if row["judged"]}.isdisjoint(days):
        return []  # as on most days: none to write, and none that an earlier verdict can have left
    written = await session.connection.fetch(SQL["write_anomalies"], days, _json(found), now)
    return [Resource(row["resource"]) for row in written if row["is_new"]]


def _usage(row: asyncpg.Record) -> DailyUsage:
    return DailyUsage(row["day"], Resource(row["resource"]), row["quantity"])


def _anomaly(judgement: Judgement) -> dict[str, object]:
    return {
        "id": uuid4(),
        **msgspec.structs.asdict(judgement),
        "severity": judgement.severity,
    }


def _json(values: Sequence[object]) -> str:
    return msgspec.json.encode(values).decode()
