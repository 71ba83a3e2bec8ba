"""Reading and acknowledging anomalies."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from core.errors import NotFound
from core.resource import Resource
from core.tenant import Tenant
from shell import anomalies
from shell.anomalies import Anomaly, AnomalyKey
from shell.session import tenant_session
from tests.events import on, used
from tests.installation import Installation

ADA, BOB = UUID(int=1), UUID(int=2)


async def detected(installation: Installation, tenant: Tenant) -> list[Anomaly]:
    """Three anomalies: two resources on the eighth of June, one of them on the ninth as well."""
    steady = ("10", "11", "9", "10", "12", "8", "10")
    usage = [
        on(date(2026, 6, number), quantity, resource=resource)
        for resource in (Resource.CPU, Resource.NETWORK)
        for number, quantity in enumerate((*steady, "30"), start=1)
    ]
    await used(installation, tenant, [*usage, on(date(2026, 6, 9), "500")])
    found = await page(installation, tenant)
    assert [(each.day.day, each.resource) for each in found[:1]] == [(9, Resource.CPU)]
    assert {(each.day.day, each.resource) for each in found[1:]} == {(8, Resource.CPU), (8, Resource.NETWORK)}
    return found


async def page(
    installation: Installation,
    tenant: Tenant,
    *,
    acknowledged: bool | None = None,
    after: AnomalyKey | None = None,
    limit: int = 10,
) -> list[Anomaly]:
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        return await anomalies.page(session, acknowledged=acknowledged, after=after, limit=limit)


async def test_pages_hold_every_anomaly_once_from_the_latest_day(
    installation: Installation, tenant: Tenant
) -> None:
    found = await detected(installation, tenant)
    seen: list[Anomaly] = []
    after: AnomalyKey | None = None
    for _ in found:
        one, *_ = await page(installation, tenant, after=after, limit=1)
        seen.append(one)
        after = (one.day, one.id)
    assert seen == found
    assert await page(installation, tenant, after=after) == []


async def test_only_the_first_acknowledgement_counts(installation: Installation, tenant: Tenant) -> None:
    anomaly, *others = await detected(installation, tenant)
    before = datetime.now(UTC)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        first = await anomalies.acknowledge(session, anomaly.id, by=ADA, note="a migration")
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        second = await anomalies.acknowledge(session, anomaly.id, by=BOB, note="something else")
    assert first == second
    assert (first.acknowledged_by, first.note) == (ADA, "a migration")
    assert first.acknowledged_at is not None
    assert first.acknowledged_at >= before
    assert await page(installation, tenant, acknowledged=True) == [first]
    assert await page(installation, tenant, acknowledged=False) == others


async def test_an_unknown_anomaly_and_another_tenants_are_not_found(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    anomaly, *_ = await detected(installation, other_tenant)
    for anomaly_id in (uuid4(), anomaly.id):
        with pytest.raises(NotFound):
            async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
                await anomalies.acknowledge(session, anomaly_id, by=ADA, note=None)
    assert await page(installation, other_tenant, acknowledged=True) == []
