"""People of a tenant: who may see and change whom, and what becomes of their tokens."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from core.permission import Role
from core.tenant import Tenant, TenantState
from tests.installation import put_into, rows
from tests.web.client import Api, Caller, problem_of


async def changed(caller: Caller, whom: Caller, **fields: Any) -> dict[str, Any]:
    """An account after a change that is admitted."""
    answer = await caller.send("PATCH", f"./users/{whom.account.id}", json=fields)
    assert answer.status_code == 200, answer.text
    user: dict[str, Any] = answer.json()
    return user


async def entries(api: Api, tenant: Tenant) -> list[Mapping[str, object]]:
    """What the tenant's chain says of changed accounts."""
    query = "SELECT * FROM public.audit_log WHERE chain = $1 AND action = 'user.updated' ORDER BY occurred_at"
    return await rows(api.installation, query, tenant.chain)


async def owners(api: Api, tenant: Tenant) -> int:
    """How many active owners a tenant has."""
    query = f"SELECT id FROM {tenant.schema}.users WHERE role = 'OWNER' AND state = 'ACTIVE'"
    return len(await rows(api.installation, query))


async def test_people_are_listed_by_age_page_by_page_without_their_hashes(api: Api, tenant: Tenant) -> None:
    people = [await api.as_(role, tenant) for role in (Role.OWNER, Role.MEMBER, Role.VIEWER)]
    owner = people[0]
    first = (await owner.get("./users?limit=2")).json()
    rest = (await owner.get(f"./users?limit=2&cursor={first['next_cursor']}")).json()
    found = first["items"] + rest["items"]
    assert [user["id"] for user in found] == [str(caller.account.id) for caller in people]
    assert rest["next_cursor"] is None
    assert "password" not in repr(found)
    assert (await owner.get(f"./users/{people[1].account.id}")).json() == found[1]


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_members_and_viewers_see_and_change_nobody(api: Api, tenant: Tenant, role: Role) -> None:
    caller = await api.as_(role, tenant)
    problem_of(await caller.get("./users"), 403)
    own = f"./users/{caller.account.id}"
    problem_of(await caller.send("PATCH", own, json={"role": "OWNER"}), 403, "not-permitted")
    problem_of(await caller.send("DELETE", own), 403, "not-permitted")


async def test_another_tenants_people_are_not_found(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    stranger, member = await api.as_(Role.OWNER, other_tenant), await api.as_(Role.MEMBER, tenant)
    for method, body in (("GET", None), ("PATCH", {"role": "VIEWER"}), ("DELETE", None)):
        for path in (f"./users/{member.account.id}", f"/tenants/{tenant.id}/users/{member.account.id}"):
            problem_of(await stranger.send(method, path, json=body), 404, "not-found")
    problem_of(await stranger.get(f"./users/{uuid4()}"), 404)
    assert (await member.get("/auth/me")).json()["user"]["role"] == "MEMBER"


async def test_a_changed_role_ends_tokens_with_the_old_one(api: Api, tenant: Tenant) -> None:
    owner, member = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    assert (await member.get("/auth/me")).status_code == 200
    assert (await changed(owner, member, role="ADMIN", full_name="Grace Hopper"))["role"] == "ADMIN"
    problem_of(await member.get("/auth/me"), 401, "not-authenticated")
    [entry] = await entries(api, tenant)
    assert entry["actor_id"] == owner.account.id
    assert entry["details"] == '{"fields":"full_name","role_from":"MEMBER","role_to":"ADMIN"}'


async def test_deactivation_ends_sessions_for_good(api: Api, tenant: Tenant) -> None:
    owner, member = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    path = f"./users/{member.account.id}"
    for _ in range(2):
        assert (await owner.send("DELETE", path)).status_code == 204
    assert (await owner.get(path)).json()["state"] == "DEACTIVATED"
    problem_of(await member.get("/auth/me"), 401)
    assert (await changed(owner, member, state="ACTIVE"))["state"] == "ACTIVE"
    problem_of(await member.get("/auth/me"), 401)
    assert len(await entries(api, tenant)) == 2


async def test_an_administrator_ends_anothers_sessions_and_the_account_stays(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    owner, admin = await api.as_(Role.OWNER, tenant), await api.as_(Role.ADMIN, tenant)
    member, stranger = await api.as_(Role.MEMBER, tenant), await api.as_(Role.OWNER, other_tenant)
    path = f"./users/{member.account.id}/sessions"
    problem_of(await member.send("DELETE", path), 403, "not-permitted")
    problem_of(await stranger.send("DELETE", path), 404, "not-found")
    problem_of(await admin.send("DELETE", f"./users/{uuid4()}/sessions"), 404, "not-found")
    problem_of(await admin.send("DELETE", f"./users/{owner.account.id}/sessions"), 403, "role-too-high")
    assert (await member.get("/auth/me")).status_code == 200
    assert (await admin.send("DELETE", path)).status_code == 204
    problem_of(await member.get("/auth/me"), 401, "not-authenticated")
    assert (await owner.get("/auth/me")).status_code == 200
    assert (await owner.get(f"./users/{member.account.id}")).json()["state"] == "ACTIVE"
    query = "SELECT * FROM public.audit_log WHERE chain = $1 AND action = 'user.sessions_ended'"
    done = {entry["subject"]: entry["outcome"] for entry in await rows(api.installation, query, tenant.chain)}
    assert done[f"user:{member.account.id}"] == "success"
    assert done[f"user:{owner.account.id}"] == "denied"


async def test_an_admin_acts_on_no_owner_and_makes_none(api: Api, tenant: Tenant) -> None:
    owner, other = [await api.as_(Role.OWNER, tenant) for _ in range(2)]
    admin, member = await api.as_(Role.ADMIN, tenant), await api.as_(Role.MEMBER, tenant)
    for whom, body in (
        (owner, {"role": "ADMIN"}),
        (owner, {"state": "DEACTIVATED"}),
        (owner, {"full_name": "Nobody"}),
        (member, {"role": "OWNER"}),
        (admin, {"role": "OWNER"}),
    ):
        refused = await admin.send("PATCH", f"./users/{whom.account.id}", json=body)
        problem_of(refused, 403, "role-too-high")
    problem_of(await admin.send("DELETE", f"./users/{owner.account.id}"), 403, "role-too-high")
    assert {entry["outcome"] for entry in await entries(api, tenant)} == {"denied"}
    assert await owners(api, tenant) == 2
    assert (await changed(admin, member, role="ADMIN"))["role"] == "ADMIN"
    assert (await changed(other, owner, role="VIEWER"))["role"] == "VIEWER"


async def test_the_last_owner_can_neither_leave_nor_be_demoted_nor_deactivated(
    api: Api, tenant: Tenant
) -> None:
    owner, operator = await api.as_(Role.OWNER, tenant), await api.operator()
    gone = await api.as_(Role.OWNER, tenant)
    assert (await owner.send("DELETE", f"./users/{gone.account.id}")).status_code == 204
    path = f"/tenants/{tenant.id}/users/{owner.account.id}"
    for caller in (owner, operator):
        for body in ({"role": "ADMIN"}, {"state": "DEACTIVATED"}):
            problem_of(await caller.send("PATCH", path, json=body), 409, "last-owner")
        problem_of(await caller.send("DELETE", path), 409, "last-owner")
    assert (await changed(owner, owner, full_name="Ada King"))["full_name"] == "Ada King"
    assert (await changed(owner, gone, role="MEMBER"))["role"] == "MEMBER"


async def test_of_owners_who_all_leave_at_once_one_remains(api: Api, tenant: Tenant) -> None:
    people = [await api.as_(Role.OWNER, tenant) for _ in range(6)]
    answers = await asyncio.gather(
        *(caller.send("PATCH", f"./users/{caller.account.id}", json={"role": "MEMBER"}) for caller in people)
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409]
    assert await owners(api, tenant) == 1


async def test_of_owners_who_demote_each_other_at_once_one_remains(api: Api, tenant: Tenant) -> None:
    for _ in range(3):
        one, other = [await api.as_(Role.OWNER, tenant) for _ in range(2)]
        for caller in (one, other):
            assert (await caller.get("/auth/me")).status_code == 200
        pairs = [(one, other), (other, one)]
        answers = await asyncio.gather(
            *(a.send("PATCH", f"./users/{b.account.id}", json={"role": "MEMBER"}) for a, b in pairs)
        )
        assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_a_suspended_tenant_takes_no_changes_but_access_can_be_taken_away(
    api: Api, tenant: Tenant
) -> None:
    owner, member = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    path = f"./users/{member.account.id}"
    problem_of(await owner.send("PATCH", path, json={"role": "ADMIN"}), 403, "tenant-not-writable")
    assert (await owner.send("DELETE", path)).status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "OPERATOR"}, "role"),
        ({"role": "KING"}, "role"),
        ({"full_name": " "}, "full_name"),
        ({"state": "GONE"}, "state"),
    ],
)
async def test_what_is_wrong_with_a_change_is_named(
    api: Api, tenant: Tenant, body: dict[str, Any], field: str
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    refused = await owner.send("PATCH", f"./users/{owner.account.id}", json=body)
    assert [error["field"] for error in problem_of(refused, 422)["errors"]] == [field]
