"""Legal holds: who places them, what they refuse, and what stays in the audit log."""

import asyncio
from uuid import uuid4

import pytest

from core.errors import UnderLegalHold
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell import legal_holds
from shell.session import platform_session
from tests.installation import put_into, rows
from tests.web.client import Api, problem_of

REASON = {"reason": "Case 4 O 123/26"}


async def test_a_hold_refuses_erasure_with_reason_and_date_until_it_is_lifted(
    api: Api, tenant: Tenant
) -> None:
    operator, pool = await api.operator(), api.installation.pool
    placed = (await operator.post(f"/tenants/{tenant.id}/legal-holds", json=REASON)).json()
    async with platform_session(pool) as session:
        with pytest.raises(UnderLegalHold, match=f"since {placed['placed_at'][:10]}: Case 4 O 123/26"):
            await legal_holds.require_none(session, tenant.id, uuid4())
    path = f"/tenants/{tenant.id}/legal-holds/{placed['id']}/lift"
    lifted = (await operator.post(path, json={"reason": "settled"})).json()
    assert lifted["lift_reason"] == "settled"
    assert lifted["lifted_by"] == str(operator.account.id)
    async with platform_session(pool) as session:
        await legal_holds.require_none(session, tenant.id)
    problem_of(await operator.post(path, json={"reason": "again"}), 409, "legal-hold-lifted")
    assert (await operator.get(f"/tenants/{tenant.id}/legal-holds")).json()["items"] == [lifted]


async def test_placing_and_lifting_are_audited(api: Api, tenant: Tenant) -> None:
    operator, ada = await api.operator(), await api.as_(Role.MEMBER, tenant)
    body = REASON | {"user_id": str(ada.account.id)}
    placed = (await operator.post(f"/tenants/{tenant.id}/legal-holds", json=body)).json()
    await operator.post(f"/tenants/{tenant.id}/legal-holds/{placed['id']}/lift", json=REASON)
    query = "SELECT action, subject, actor_id FROM public.audit_log WHERE chain = $1 AND action LIKE 'legal%'"
    entries = await rows(api.installation, query, tenant.chain)
    assert {(entry["action"], entry["subject"], entry["actor_id"]) for entry in entries} == {
        (action, f"user:{ada.account.id}", operator.account.id)
        for action in ("legal_hold.placed", "legal_hold.lifted")
    }


async def test_a_repeated_request_places_one_hold(api: Api, tenant: Tenant) -> None:
    operator = await api.operator()
    path, headers = f"/tenants/{tenant.id}/legal-holds", {"Idempotency-Key": "hold-1"}
    first = await operator.post(path, json=REASON, headers=headers)
    second = await operator.post(path, json=REASON, headers=headers)
    assert (first.status_code, second.json()) == (201, first.json())
    assert len((await operator.get(path)).json()["items"]) == 1


async def test_a_tenant_that_waits_for_erasure_can_be_held(api: Api, tenant: Tenant) -> None:
    operator = await api.operator()
    await put_into(api.installation, tenant, TenantState.DEPROVISIONING)
    assert (await operator.post(f"/tenants/{tenant.id}/legal-holds", json=REASON)).status_code == 201


async def test_a_hold_on_nobody_is_refused(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    operator, stranger = await api.operator(), await api.as_(Role.MEMBER, other_tenant)
    body = REASON | {"user_id": str(stranger.account.id)}
    problem_of(await operator.post(f"/tenants/{tenant.id}/legal-holds", json=body), 404, "not-found")
    path = f"/tenants/{tenant.id}/legal-holds"
    problem_of(await operator.post(path, json={"reason": " "}), 422)
    problem_of(await operator.post(f"{path}/{uuid4()}/lift", json=REASON), 404, "not-found")


async def test_no_hold_is_placed_while_an_erasure_decides(api: Api, tenant: Tenant) -> None:
    operator, pool = await api.operator(), api.installation.pool
    async with platform_session(pool) as session:
        await legal_holds.require_none(session, tenant.id)
        placing = asyncio.create_task(operator.post(f"/tenants/{tenant.id}/legal-holds", json=REASON))
        done, _ = await asyncio.wait([placing], timeout=0.3)
        assert not done
        assert await legal_holds.standing(session, tenant.id) == []
    assert (await placing).status_code == 201
