"""Closing days: what new events touched is aggregated, priced and judged, in the tenant's one transaction."""

import io
from collections.abc import Callable, Sequence
from datetime import date, datetime
from uuid import uuid4

import asyncpg
import msgspec
import polars as pl

from core.aggregation import EVENTS, daily_usage
from core.anomaly import Judgement, days_to_judge, judge_days
from core.costing import DailyUsage, cost_records
from core.period import Span, days_of_quarter_hours, local_day, spans
from core.pricing import RateCard
from core.resource import Resource
from shell.queries import SQL
from shell.session import TenantSession


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
    await _aggregate(session, card, batches.days, now, progress)
    await session.connection.execute(SQL["forget_batches"], batches.ids, days_to_judge(batches.days, today))
    judged, new = await _judge(session, today, now)
    return Closed(batches.days, judged, new)


async def has_open_days(session: TenantSession, now: datetime) -> bool:
    """Whether there is anything to close."""
    today = local_day(now, session.tenant.time_zone)
    return bool(await session.connection.fetchval(SQL["has_open_days"], today))


async def _open_batches(session: TenantSession) -> Batches:
    rows = await session.connection.fetch(SQL["usage_batches"])
    quarter_hours = {instant for row in rows for instant in row["quarter_hours"]}
    days = days_of_quarter_hours(quarter_hours, session.tenant.time_zone)
    return Batches([row["id"] for row in rows], days)


async def _aggregate(
    session: TenantSession,
    card: RateCard,
    days: Sequence[date],
    now: datetime,
    progress: Callable[[float], None],
) -> None:
    runs = spans(days, session.tenant.time_zone)
    for done, span in enumerate(runs):
        progress(done / len(runs))
        daily = daily_usage(await _events(session, span), first_day=span.first)
        await _write(session, daily, card, now)


async def _events(session: TenantSession, span: Span) -> pl.DataFrame:
    """The events of consecutive days, as the columns that aggregation needs."""
    starts = ",".join(instant.isoformat() for instant in span.starts)
    query = SQL["copy_events"].format(
        starts="{" + starts + "}", start=span.starts[0].isoformat(), end=span.end.isoformat()
    )
    output = io.BytesIO()
    await session.connection.copy_from_query(query, output=output, format="csv")
    if not output.tell():
        return pl.DataFrame(schema=EVENTS)
    return pl.read_csv(output.getvalue(), has_header=False, schema=EVENTS)


async def _write(session: TenantSession, daily: pl.DataFrame, card: RateCard, now: datetime) -> None:
    usage = [DailyUsage(day, Resource(resource), quantity) for day, resource, quantity, _ in daily.rows()]
    records = cost_records(usage, card)
    figures = [
        {**msgspec.structs.asdict(record), **msgspec.structs.asdict(record.cost), "events": events}
        for record, events in zip(records, daily["events"], strict=True)
    ]
    await session.connection.execute(SQL["write_daily_usage"], _json(figures), now)


async def _judge(session: TenantSession, today: date, now: datetime) -> tuple[list[date], list[Resource]]:
    rows = await session.connection.fetch(SQL["usage_to_judge"], today)
    open_days = sorted({row["day"] for row in rows if not row["judged"]})
    if not open_days:
        return [], []
    judgements = judge_days(open_days, [_usage(row) for row in rows])
    anomalies = [_anomaly(judgement) for judgement in judgements if judgement.is_anomaly]
    written = await session.connection.fetch(SQL["write_anomalies"], open_days, _json(anomalies), now)
    return open_days, [Resource(row["resource"]) for row in written if row["is_new"]]


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
