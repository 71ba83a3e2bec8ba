"""Closing days: what new events touched is aggregated, priced and judged, in the tenant's one transaction."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import chain
from typing import cast
from uuid import uuid4

import msgspec
import polars as pl

from core.aggregation import EVENTS, Daily, Event, daily_usage, daily_usage_of_few
from core.anomaly import WINDOW, Judgement, days_to_judge, judge_days
from core.costing import DailyUsage, cost_records
from core.period import Span, days_of_quarter_hours, local_day, spans
from core.pricing import RateCard
from core.resource import RESOURCES, Resource
from shell.queries import SQL
from shell.session import ClosingSession, TenantSession

FEW_EVENTS = 2_000
"""Up to this many, the fixed cost of COPY and of a Polars query would be the larger part of the work."""


class Complete(msgspec.Struct, frozen=True):
    """The usage of complete days, and which of these have a verdict already, or none yet."""

    usage: list[DailyUsage]
    judged: set[date]
    unjudged: set[date]


class Closed(msgspec.Struct, frozen=True):
    """What closing did: the days it aggregated, the days it judged, and the anomalies that are new."""

    aggregated: list[date]
    judged: list[date]
    new_anomalies: list[Resource]


async def close_days(
    session: ClosingSession, now: datetime, progress: Callable[[float], None] = lambda _: None
) -> Closed:
    """Aggregate, price and judge exactly what is open; doing it twice changes nothing.

    Raises PriceMissing where a resource has no price on a day.
    """
    today = local_day(now, session.tenant.time_zone)
    open_days = await _take_open_days(session)
    aggregated = await _aggregated(session, open_days, progress)
    reopened = days_to_judge(open_days, today)
    complete = await _complete(session, today, min(reopened, default=None))
    usage = [*complete.usage, *(item for item, _ in aggregated)]
    to_judge = sorted(complete.unjudged | {item.day for item in usage}.intersection(reopened))
    if aggregated:
        figures = _json(_figures(aggregated, session.card))
        await session.connection.execute(SQL["write_days"], figures, now, today)
    if not {item.day for item, _ in aggregated}.issuperset(to_judge):
        await session.connection.execute(SQL["mark_judged"], to_judge)
    new = await _judge(session, to_judge, usage, now, may_replace=not complete.judged.isdisjoint(to_judge))
    return Closed(open_days, to_judge, new)


async def has_open_days(session: TenantSession, now: datetime) -> bool:
    """Whether there is anything to close."""
    today = local_day(now, session.tenant.time_zone)
    return bool(await session.connection.fetchval(SQL["has_open_days"], today))


async def _take_open_days(session: TenantSession) -> list[date]:
    """The local days that batches have touched which were not aggregated yet, as they are from here on."""
    rows = await session.connection.fetch(SQL["take_usage_batches"])
    quarter_hours = chain.from_iterable(row["quarter_hours"] for row in rows)
    return days_of_quarter_hours(quarter_hours, session.tenant.time_zone)


async def _complete(session: TenantSession, today: date, first: date | None) -> Complete:
    """The complete days that verdicts from a first day on need, or from the first day that has none yet."""
    since = None if first is None else first - WINDOW
    rows = await session.connection.fetch(SQL["usage_to_judge"], today, since)
    unjudged = {row["day"] for row in rows if not row["judged"]}
    if unjudged and (
        first is None or min(unjudged) < first
    ):  # seldom: as a rule, a day that is over is closed
        return await _complete(session, today, min(unjudged))
    usage = [DailyUsage(row["day"], RESOURCES[row["resource"]], row["quantity"]) for row in rows]
    return Complete(usage, {row["day"] for row in rows if row["judged"]}, unjudged)


async def _aggregated(
    session: TenantSession, days: Sequence[date], progress: Callable[[float], None]
) -> list[tuple[DailyUsage, int]]:
    """What the events of these days sum to, and how many they are."""
    found: list[tuple[DailyUsage, int]] = []
    runs = spans(days, session.tenant.time_zone)
    for done, span in enumerate(runs):
        progress(done / len(runs))
        found += [
            (DailyUsage(day, RESOURCES[resource], quantity), events)
            for day, resource, quantity, events in await _summed(session, span)
        ]
    return found


async def _summed(session: TenantSession, span: Span) -> list[Daily]:
    few = await session.connection.fetch(
        SQL["few_events"], span.starts, span.starts[0], span.end, FEW_EVENTS + 1
    )
    if len(few) <= FEW_EVENTS:
        return daily_usage_of_few(cast("list[Event]", few), first_day=span.first)
    frame = pl.read_csv(await _events(session, span), has_header=False, schema=EVENTS)
    return cast("list[Daily]", daily_usage(frame, first_day=span.first).rows())


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


async def _judge(
    session: TenantSession,
    days: Sequence[date],
    usage: Sequence[DailyUsage],
    now: datetime,
    *,
    may_replace: bool,
) -> list[Resource]:
    """Make the anomalies of these days what their usage says; gives the resources of the new ones."""
    found = [_anomaly(judgement) for judgement in judge_days(days, usage) if judgement.is_anomaly]
    if not found and not may_replace:
        return []  # as on most days: none to write, and none that an earlier verdict can have left
    written = await session.connection.fetch(SQL["write_anomalies"], days, _json(found), now)
    return [Resource(row["resource"]) for row in written if row["is_new"]]


def _anomaly(judgement: Judgement) -> dict[str, object]:
    return {
        "id": uuid4(),
        **msgspec.structs.asdict(judgement),
        "severity": judgement.severity,
    }


def _json(values: Sequence[object]) -> str:
    return msgspec.json.encode(values).decode()
