"""What the shared tables say at this moment, as metrics: asked at each scrape, never counted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from core.job import JobKind, JobState
from core.tenant import TenantState
from shell.database import Pool
from shell.queries import SQL
from shell.session import platform_session


class TableState(msgspec.Struct, frozen=True):
    """Families of metrics, and the tenants that are not gone."""

    families: tuple[Metric, ...]
    tenants: frozenset[str]


async def table_state(pool: Pool) -> TableState:
    """Ask the database, in one transaction."""
    now = datetime.now(UTC)
    async with platform_session(pool, readonly=True) as session:
        counts = await session.connection.fetch(SQL["tenant_counts"])
        tenants = await session.connection.fetch(SQL["known_tenants"])
        jobs = await session.connection.fetch(SQL["open_jobs"], now)
        audit = await session.connection.fetchrow(SQL["unsequenced"])
        marks = await session.connection.fetchval(SQL["count_usage_marks"])
    waits_since = audit["oldest"] if audit else None
    families = (
        _tenant_counts({row["state"]: row["count"] for row in counts}),
        *_open_jobs([dict(row) for row in jobs], now),
        GaugeMetricFamily(
            "audit_unsequenced_entries",
            "Audit entries that have no place yet.",
            value=audit["count"] if audit else 0,
        ),
        GaugeMetricFamily(
            "audit_unsequenced_seconds",
            "Age of the oldest audit entry that has no place yet; 0 where all have one.",
            value=0 if waits_since is None else (now - waits_since).total_seconds(),
        ),
        GaugeMetricFamily(
            "usage_batches_waiting", "Batches of usage that no closing was queued for yet.", value=marks
        ),
    )
    return TableState(families, frozenset(str(row["id"]) for row in tenants))


async def known_tenants(pool: Pool) -> frozenset[str]:
    """The ids of all tenants that are not gone."""
    async with platform_session(pool, readonly=True) as session:
        return frozenset(str(row["id"]) for row in await session.connection.fetch(SQL["known_tenants"]))


def _tenant_counts(counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily("tenant_count", "Tenants by state of their lifecycle.", labels=["status"])
    for state in TenantState:
        family.add_metric([state], counts.get(state, 0))
    return family


def _open_jobs(rows: list[dict[str, Any]], now: datetime) -> tuple[Metric, Metric]:
    """How many jobs are open, and how long the oldest of each kind that could run has not been taken."""
    count = GaugeMetricFamily("jobs_open", "Jobs that have not ended.", labels=["kind", "state"])
    overdue = GaugeMetricFamily(
        "job_overdue_seconds",
        "For how long the oldest job that is due, or that its worker has lost, has not been taken.",
        labels=["kind"],
    )
    found = {(row["kind"], row["state"]): row for row in rows}
    for kind in JobKind:
        since = []
        for state in (JobState.QUEUED, JobState.RUNNING):
            row = found.get((kind, state), {})
            count.add_metric([kind, state], row.get("count", 0))
            since += [row["overdue_since"]] if row.get("overdue_since") else []
        overdue.add_metric([kind], max(0.0, (now - min(since)).total_seconds()) if since else 0)
    return count, overdue
