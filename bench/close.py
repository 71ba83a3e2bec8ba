"""`close`: aggregate, price and judge a day, beside one INSERT … SELECT … GROUP BY per tenant.

The product does what the worker does for each tenant: reads the prices, enters the tenant, aggregates the
events of yesterday, writes usage and costs, judges the day against the seven before it, commits. The
baseline sums the same events in SQL into a table like `daily_usage`, one transaction per tenant, as the
owner, who passes no checks: no prices, no costs, no judgement. Both run in this process, on uvloop, over a
pool, with as many tenants at once as a worker takes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from bench.figures import Figure, compared, take_turns
from bench.stage import AT_ONCE, Stage, administrator, provisioned, stage
from core.period import day_start, local_day
from core.tenant import Tenant
from shell import closing
from shell.session import closing_session

RATIO_AT_MOST = 3.0
HISTORY = 7

EVENTS = """
INSERT INTO {schema}.usage_events (source, id, resource, quantity, occurred_at, received_at)
SELECT 'vm-' || n % 20, gen_random_uuid()::text,
       ('{{cpu,memory,storage,network,api_calls}}'::text[])[1 + n % 5],
       (1 + (n * 7919::bigint) % 999983) * 0.0001,
       timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * ((n - 1) / {events}::float8),
       now()
FROM generate_series(1, {events}) AS n
"""

HISTORY_OF_DAYS = """
INSERT INTO {schema}.daily_usage (day, resource, quantity, events, aggregated_at, judged)
SELECT date '{day}' - n, resource, 1000 * n, 100, now(), true
FROM generate_series(1, {history}) AS n,
     unnest('{{cpu,memory,storage,network,api_calls}}'::text[]) AS resource
"""

SUMS = (
    "SET ROLE platform_owner",
    "CREATE TABLE {schema}.sums (LIKE {schema}.daily_usage INCLUDING ALL)",
    "RESET ROLE",
)

AGGREGATE = """
INSERT INTO {schema}.sums (day, resource, quantity, events, aggregated_at)
SELECT date '{day}', resource, sum(quantity), count(*), now()
FROM {schema}.usage_events
WHERE occurred_at >= '{start}' AND occurred_at < '{end}'
GROUP BY resource
"""

BATCH = """
INSERT INTO {schema}.usage_batches (quarter_hours, received_at)
SELECT array_agg(quarter), now()
FROM generate_series(timestamptz '{start}', timestamptz '{end}' - interval '1 s', '15 minutes') AS quarter
"""

REOPEN = (
    "DELETE FROM {schema}.daily_usage WHERE day = '{day}'",
    "DELETE FROM {schema}.cost_records WHERE day = '{day}'",
    "DELETE FROM {schema}.anomalies",
    BATCH,
    "DELETE FROM {schema}.sums",
)

SAME = "SELECT count(*) FROM {schema}.daily_usage JOIN {schema}.sums USING (day, resource, quantity, events)"


class Workload(msgspec.Struct, frozen=True):
    """Tenants that each have the same number of events on one day."""

    name: str
    tenants: list[Tenant]
    events: int
    day: date
    start: datetime
    end: datetime
    now: datetime

    def of(self, statement: str, tenant: Tenant) -> str:
        """A statement for one tenant."""
        return statement.format(
            schema=tenant.schema,
            day=self.day,
            start=self.start.isoformat(),
            end=self.end.isoformat(),
            events=self.events,
            history=HISTORY,
        )


async def close(*, quick: bool) -> list[Figure]:
    """The figures of one large tenant and of many small ones."""
    large, small, rounds = (100_000, 50, 3) if quick else (1_000_000, 1_000, 7)
    async with stage() as here:
        tenants = await provisioned(here, [f"close-{index}" for index in range(small + 1)])
        return [
            await _measured(here, _workload(f"close, 1 x {large:,}", tenants[:1], large), rounds),
            await _measured(here, _workload(f"close, {small:,} x 100", tenants[1:], 100), rounds),
        ]


def _workload(name: str, tenants: list[Tenant], events: int) -> Workload:
    now, zone = datetime.now(UTC), tenants[0].time_zone
    today = local_day(now, zone)
    day = today - timedelta(days=1)
    return Workload(name, tenants, events, day, day_start(day, zone), day_start(today, zone), now)


async def _measured(here: Stage, work: Workload, rounds: int) -> Figure:
    await _fill(here, work)

    async def product() -> float:
        await _everywhere(here, work, *REOPEN)
        return await _timed(work.tenants, lambda tenant: _closed(here, work, tenant))

    async def baseline() -> float:
        await _everywhere(here, work, "DELETE FROM {schema}.sums")
        return await _timed(work.tenants, lambda tenant: _summed(here, work, tenant))

    found = await take_turns(product, baseline, rounds)
    await baseline()
    await _require_same(here, work)
    return compared(
        work.name,
        "s",
        found,
        ratio_at_most=RATIO_AT_MOST,
        notes={"ms per tenant": 1_000 * min(found.product) / len(work.tenants)},
    )


async def _fill(here: Stage, work: Workload) -> None:
    await _everywhere(here, work, EVENTS, HISTORY_OF_DAYS, *SUMS)
    async with administrator(here) as connection:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")


async def _everywhere(here: Stage, work: Workload, *statements: str) -> None:
    async with administrator(here) as connection:
        for tenant in work.tenants:
            await connection.execute(";".join(work.of(statement, tenant) for statement in statements))


async def _timed(tenants: Sequence[Tenant], each: Callable[[Tenant], Awaitable[None]]) -> float:
    """How long all tenants take, several at once, in seconds."""
    supply = iter(tenants)

    async def take() -> None:
        for tenant in supply:
            await each(tenant)

    started = time.perf_counter()
    await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    return time.perf_counter() - started


async def _closed(here: Stage, work: Workload, tenant: Tenant) -> None:
    async with closing_session(here.pool, tenant.id) as session:
        closed = await closing.close_days(session, work.now)
    assert closed.aggregated == [work.day]
    assert closed.judged == [work.day]


async def _summed(here: Stage, work: Workload, tenant: Tenant) -> None:
    statement = work.of(AGGREGATE, tenant)
    async with here.owner_pool.acquire() as connection:
        await connection.execute(statement)


async def _require_same(here: Stage, work: Workload) -> None:
    """Both sides must have found the same sums, or one of them was fast because it was wrong."""
    async with administrator(here) as connection:
        for tenant in work.tenants:
            assert await connection.fetchval(work.of(SAME, tenant)) == 5
