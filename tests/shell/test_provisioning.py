"""Provisioning: three steps, each repeatable, then the founder moves in."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from asyncpg.exceptions import InsufficientPrivilegeError

from core.errors import NotFound, TenantGone
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell import accounts, provisioning
from shell.session import tenant_session
from shell.tenants import Founder
from tests.installation import Installation, current, new_slug, provision, put_into, register, rows

STEPS: list[Callable[..., Awaitable[object]]] = [
    lambda pool, tenant: provisioning.begin(pool, tenant.id),
    provisioning.create_role,
    provisioning.create_schema,
    provisioning.create_tables,
    provisioning.complete,
]


def founder() -> Founder:
    return Founder(Account(uuid4(), "ada@example.com", "Ada Lovelace", Role.OWNER), "phc")


async def audited(installation: Installation, tenant: Tenant) -> list[object]:
    query = "SELECT action FROM audit_log WHERE subject = $1 ORDER BY occurred_at"
    return [row["action"] for row in await rows(installation, query, f"tenant:{tenant.id}")]


async def require_whole(installation: Installation, tenant: Tenant, owner: Account) -> None:
    assert (await current(installation, tenant)).state is TenantState.ACTIVE
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await accounts.get(session, owner.id) == owner
        credentials = await accounts.credentials_of(session, owner.email)
        assert credentials is not None
        assert credentials.password_hash == "phc"
    assert not await rows(installation, "SELECT FROM founders WHERE tenant_id = $1", tenant.id)
    assert await audited(installation, tenant) == ["tenant.provision", "tenant.complete"]


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
async def test_provisioning_is_resumed_after_a_crash_behind_any_step(
    installation: Installation, done: int
) -> None:
    owner = founder()
    tenant = await register(installation, founder=owner)
    for step in STEPS[:done]:
        await step(installation.owner_pool, tenant)
    await provision(installation, tenant)
    await require_whole(installation, tenant, owner.account)


async def test_every_step_may_run_twice(installation: Installation) -> None:
    owner = founder()
    tenant = await register(installation, founder=owner)
    for step in STEPS:
        await step(installation.owner_pool, tenant)
        await step(installation.owner_pool, tenant)
    await require_whole(installation, tenant, owner.account)


@pytest.mark.parametrize("attempt", range(5))
async def test_workers_that_provision_one_tenant_at_once_do_it_once(
    installation: Installation, attempt: int
) -> None:
    owner = founder()
    tenant = await register(installation, founder=owner)
    await asyncio.gather(*(provision(installation, tenant) for _ in range(3)))
    await require_whole(installation, tenant, owner.account)


async def test_many_tenants_can_be_provisioned_at_once(installation: Installation) -> None:
    pending = [await register(installation) for _ in range(6)]
    tenants = await asyncio.gather(*(provision(installation, tenant) for tenant in pending))
    assert {tenant.state for tenant in tenants} == {TenantState.ACTIVE}


async def test_a_tenant_without_a_founder_has_no_account(installation: Installation) -> None:
    tenant = await provision(installation, await register(installation))
    assert not await rows(installation, f"SELECT FROM {tenant.schema}.users")


async def test_a_tenant_knows_that_it_is_being_provisioned(installation: Installation) -> None:
    tenant = await register(installation)
    await provisioning.begin(installation.owner_pool, tenant.id)
    assert (await current(installation, tenant)).state is TenantState.PROVISIONING


async def test_a_tenants_role_cannot_log_in_nor_do_more_than_the_group_of_tenants(
    installation: Installation, tenant: Tenant
) -> None:
    role = await rows(
        installation,
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls "
        "FROM pg_roles WHERE rolname = $1",
        tenant.schema,
    )
    assert [set(row.values()) for row in role] == [{False}]
    query = "SELECT roleid::regrole::text AS name FROM pg_auth_members WHERE member = $1::regrole"
    assert await rows(installation, query, tenant.schema) == [{"name": "platform_tenant"}]


async def test_slugs_that_differ_in_hyphens_only_have_schemas_of_their_own(
    installation: Installation,
) -> None:
    stem = new_slug("ab")
    slugs = [stem, stem.replace("-", ""), f"{stem}-a", f"{stem}a"]
    tenants = [await provision(installation, await register(installation, slug=slug)) for slug in slugs]
    assert len({tenant.schema for tenant in tenants}) == len(slugs)


async def test_an_unknown_tenant_cannot_be_provisioned(installation: Installation) -> None:
    with pytest.raises(NotFound):
        await provisioning.begin(installation.owner_pool, uuid4())


async def test_a_tenant_past_provisioning_keeps_its_state(installation: Installation, tenant: Tenant) -> None:
    await put_into(installation, tenant, TenantState.SUSPENDED)
    begun = await provisioning.begin(installation.owner_pool, tenant.id)
    await provisioning.complete(installation.owner_pool, begun)
    assert (await current(installation, tenant)).state is TenantState.SUSPENDED


@pytest.mark.parametrize("state", [TenantState.DEPROVISIONING, TenantState.DELETED])
async def test_a_tenant_that_is_erased_is_not_provisioned_again(
    installation: Installation, tenant: Tenant, state: TenantState
) -> None:
    await put_into(installation, tenant, state)
    with pytest.raises(TenantGone):
        await provisioning.begin(installation.owner_pool, tenant.id)
    assert (await current(installation, tenant)).state is state


async def test_a_tenant_cannot_be_completed_before_it_has_begun(installation: Installation) -> None:
    tenant = await register(installation)
    await provisioning.complete(installation.owner_pool, tenant)
    assert (await current(installation, tenant)).state is TenantState.PENDING


async def test_a_tenant_cannot_touch_the_record_of_its_migrations(
    installation: Installation, tenant: Tenant
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute("DELETE FROM schema_migrations")
