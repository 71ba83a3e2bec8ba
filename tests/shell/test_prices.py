"""Price versions: default and a tenant's own."""

from datetime import date
from decimal import Decimal

import asyncpg
import pytest

from core.errors import PriceExists
from core.pricing import Price, RateCard, price_in_force
from core.resource import Resource
from core.tenant import Tenant
from shell import prices
from shell.session import closing_session, platform_session
from tests.installation import Installation

DAY = date(2027, 1, 1)


async def agreed(
    installation: Installation, tenant: Tenant, *, price: str = "0.01", day: date = DAY
) -> Price:
    async with platform_session(installation.pool) as session:
        return await prices.insert(
            session, tenant_id=tenant.id, resource=Resource.CPU, unit_price=Decimal(price), effective_from=day
        )


async def card_of(installation: Installation, tenant: Tenant) -> RateCard:
    async with closing_session(installation.pool, tenant.id) as session:
        return session.card


async def test_the_default_prices_are_those_of_the_design(installation: Installation, tenant: Tenant) -> None:
    card = await card_of(installation, tenant)
    assert {each: price_in_force(card, each, date(1972, 1, 1)).unit_price for each in Resource} == {
        Resource.CPU: Decimal("0.02"),
        Resource.MEMORY: Decimal("0.005"),
        Resource.STORAGE: Decimal("0.01"),
        Resource.NETWORK: Decimal("0.001"),
        Resource.API_CALLS: Decimal("0.0001"),
    }


async def test_a_tenants_own_price_is_on_its_rate_card_and_on_no_other(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    price = await agreed(installation, tenant)
    assert price_in_force(await card_of(installation, tenant), Resource.CPU, DAY) == price
    others = price_in_force(await card_of(installation, other_tenant), Resource.CPU, DAY)
    assert others.tenant_id is None
    async with platform_session(installation.pool, readonly=True) as session:
        assert await prices.versions(session, other_tenant.id) == []


async def test_versions_are_listed_by_resource_the_newest_first(
    installation: Installation, tenant: Tenant
) -> None:
    found = [await agreed(installation, tenant, day=date(2027, month, 1)) for month in (2, 3, 1)]
    async with platform_session(installation.pool, readonly=True) as session:
        versions = await prices.versions(session, tenant.id)
        default = await prices.versions(session, None)
    assert versions == [found[1], found[0], found[2]]
    assert [price.resource for price in default] == sorted(price.resource for price in default)


async def test_two_versions_cannot_take_effect_on_one_day(installation: Installation, tenant: Tenant) -> None:
    price = await agreed(installation, tenant)
    with pytest.raises(PriceExists):
        await agreed(installation, tenant, price="0.03")
    async with platform_session(installation.pool, readonly=True) as session:
        assert await prices.versions(session, tenant.id) == [price]


@pytest.mark.parametrize("price", ["0.000000000001", "999999.999999999999", "0"])
async def test_a_price_is_kept_exactly(installation: Installation, tenant: Tenant, price: str) -> None:
    assert (await agreed(installation, tenant, price=price)).unit_price == Decimal(price)
    async with platform_session(installation.pool, readonly=True) as session:
        (kept,) = await prices.versions(session, tenant.id)
    assert kept.unit_price == Decimal(price)


async def test_a_price_is_never_changed_or_deleted_by_the_application(
    installation: Installation, tenant: Tenant
) -> None:
    await agreed(installation, tenant)
    for statement in ("UPDATE prices SET unit_price = 0", "DELETE FROM prices"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with platform_session(installation.pool) as session:
                await session.connection.execute(statement)
