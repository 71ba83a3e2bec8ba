"""Reading and acknowledging a tenant's anomalies."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from core.anomaly import Severity
from core.errors import NotFound
from core.resource import Resource
from core.retention import AgedTable
from shell import retention
from shell.session import TenantSession
from shell.tables import Anomalies

AnomalyKey = tuple[date, UUID]


class Anomaly(msgspec.Struct, frozen=True):
    """A day whose usage lies far from the week before it."""

    id: UUID
    day: date
    resource: Resource
    observed: Decimal
    expected: float
    expected_low: float
    expected_high: float
    z_score: float
    severity: Severity
    detected_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    note: str | None


async def page(
    session: TenantSession, *, acknowledged: bool | None, after: AnomalyKey | None, limit: int
) -> list[Anomaly]:
    """Anomalies from the latest day, after a key; one more than `limit`, where there are more."""
    query = Anomalies.select().order_by(Anomalies.day, Anomalies.id, ascending=False).limit(limit + 1)
    horizon = await retention.horizon(session, AgedTable.ANOMALIES)
    if horizon is not None:
        query = query.where(Anomalies.detected_at >= horizon)
    if acknowledged is not None:
        at = Anomalies.acknowledged_at
        query = query.where(at.is_not_null() if acknowledged else at.is_null())
    if after is not None:
        day, anomaly_id = after
        earlier = (Anomalies.day == day) & (Anomalies.id < anomaly_id)
        query = query.where((Anomalies.day < day) | earlier)
    return [msgspec.convert(row, Anomaly) for row in await session.run(query)]


async def acknowledge(session: TenantSession, anomaly_id: UUID, *, by: UUID, note: str | None) -> Anomaly:
    """Note who has looked at an anomaly, the first time; raises NotFound."""
    update = Anomalies.update(
        {Anomalies.acknowledged_at: datetime.now(UTC), Anomalies.acknowledged_by: by, Anomalies.note: note}
    ).where((Anomalies.id == anomaly_id) & Anomalies.acknowledged_at.is_null())
    await get(session, anomaly_id)
    await session.run(update)
    return await get(session, anomaly_id)


async def get(session: TenantSession, anomaly_id: UUID) -> Anomaly:
    """The anomaly with this id; raises NotFound, also for one that retention hides."""
    query = Anomalies.select().where(Anomalies.id == anomaly_id)
    horizon = await retention.horizon(session, AgedTable.ANOMALIES)
    if horizon is not None:
        query = query.where(Anomalies.detected_at >= horizon)
    rows = await session.run(query)
    if not rows:
        raise NotFound(what="anomaly")
    return msgspec.convert(rows[0], Anomaly)
