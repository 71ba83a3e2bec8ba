"""The registry of tenants."""

import asyncio
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from core.errors import NotFound, SlugTaken
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell import tenants
from shell.session import platform_session
from shell.tenants import Founder
from tests.installation import Installation, current, found, new_slug, put_into, register, rows


async def test_a_tenant_is_registered_as_pending(installation: Installation) -> None:
    slug = new_slug()
    tenant = await register(
        installation, slug=slug, country="AT", vat_id="ATU12345678", time_zone="Europe/Vienna"
    )
    assert await current(installation, tenant) == tenant
    assert (tenant.slug, tenant.state, tenant.country) == (slug, TenantState.PENDING, "AT")
    assert (tenant.vat_id, tenant.time_zone, tenant.currency) == ("ATU12345678", "Europe/Vienna", "EUR")


async def test_the_account_that_will_own_a_tenant_waits_for_its_schema(installation: Installation) -> None:
    owner = Account(uuid4(), "ada@example.com", "Ada", Role.OWNER)
    tenant = await register(installation, founder=Founder(owner, "phc"))
    query = "SELECT user_id, email, password_hash FROM founders WHERE tenant_id = $1"
    expected = {"user_id": owner.id, "email": "ada@example.com", "password_hash": "phc"}
    assert await rows(installation, query, tenant.id) == [expected]


async def test_of_ten_who_want_a_slug_at_once_one_gets_it(installation: Installation) -> None:
    slug = new_slug()
    ended = await asyncio.gather(
        *(register(installation, slug=slug) for _ in range(10)), return_exceptions=True
    )
    assert len([one for one in ended if isinstance(one, Tenant)]) == 1
    assert len([one for one in ended if isinstance(one, SlugTaken)]) == 9


async def test_an_unknown_tenant_is_not_found(installation: Installation) -> None:
    for read in (tenants.get, tenants.lock):
        with pytest.raises(NotFound):
            async with platform_session(installation.pool) as session:
                await read(session, uuid4())
    with pytest.raises(NotFound):
        async with platform_session(installation.pool) as session:
            await tenants.update(session, uuid4(), {"name": "x"})


async def test_what_is_not_changed_stays(installation: Installation) -> None:
    tenant = await found(installation, vat_id="DE123456789")
    other = await found(installation)
    async with platform_session(installation.pool) as session:
        assert await tenants.update(session, tenant.id, {}) == tenant
        renamed = await tenants.update(session, tenant.id, {"name": "New"})
        assert (renamed.name, renamed.vat_id) == ("New", "DE123456789")
        assert (await tenants.update(session, tenant.id, {"vat_id": None})).vat_id is None
    assert await current(installation, other) == other


async def test_whoever_locks_a_tenant_changes_it_alone(installation: Installation, tenant: Tenant) -> None:
    seen: list[TenantState] = []

    async def move(state: TenantState) -> None:
        async with platform_session(installation.pool) as session:
            locked = await tenants.lock(session, tenant.id)
            seen.append(locked.state)
            await tenants.set_state(session, locked, state)

    await asyncio.gather(move(TenantState.SUSPENDED), move(TenantState.SUSPENDED))
    assert seen == [TenantState.ACTIVE, TenantState.SUSPENDED]


async def test_pages_hold_every_tenant_once_by_age_while_others_are_founded(
    own_installation: Installation,
) -> None:
    first = [await register(own_installation) for _ in range(10)]
    seen: list[Tenant] = []
    after: tuple[datetime, UUID] | None = None
    for _ in range(20):
        async with platform_session(own_installation.pool, readonly=True) as session:
            page = await tenants.page(session, after=after, state=None, limit=3)
        seen += page[:3]
        if len(page) <= 3:
            break
        after = (page[2].created_at, page[2].id)
        if len(seen) <= len(first):
            await register(own_installation)
    assert seen[: len(first)] == first
    assert len({tenant.id for tenant in seen}) == len(seen)


async def test_a_list_can_be_narrowed_to_a_state(own_installation: Installation) -> None:
    tenant, other = await register(own_installation), await register(own_installation)
    await put_into(own_installation, other, TenantState.DELETED)
    async with platform_session(own_installation.pool, readonly=True) as session:
        assert await tenants.page(session, after=None, state="PENDING", limit=9) == [tenant]
