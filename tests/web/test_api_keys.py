"""API keys: who may make which, what each lets a machine do, and when it is refused."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from core.errors import NotAuthenticated
from core.permission import Role
from core.tenant import Tenant, TenantState
from tests.events import sent
from tests.installation import put_into, rows
from tests.web.client import Api, Caller, problem_of

LONG_AGO = (datetime.now(UTC) - timedelta(days=400)).isoformat()


async def made(caller: Caller, tenant: Tenant, *scopes: str, **fields: Any) -> dict[str, Any]:
    """A new key, with its text."""
    body = {"name": "meter", "scopes": list(scopes or ("usage:write",))} | fields
    answer = await caller.post(f"/tenants/{tenant.id}/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def record(
    api: Api, key: str, tenant: Tenant, headers: Mapping[str, str] | None = None, **fields: Any
) -> httpx.Response:
    """One event, sent with a key."""
    authorised = {"Authorization": f"Bearer {key}"} | dict(headers or {})
    event = sent(str(uuid4()), **fields)
    return await api.post(f"/tenants/{tenant.id}/usage", json=[event], headers=authorised)


async def entries(api: Api, tenant: Tenant, action: str) -> list[Mapping[str, object]]:
    """What the tenant's chain says of an action."""
    query = "SELECT * FROM public.audit_log WHERE chain = $1 AND action = $2 ORDER BY occurred_at"
    return await rows(api.installation, query, tenant.chain, action)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
async def test_a_key_is_shown_once_and_kept_as_a_hash(api: Api, tenant: Tenant, role: Role) -> None:
    caller = await api.as_(role, tenant)
    key = await made(caller, tenant)
    assert key["key"].startswith(key["hint"])
    listed = (await caller.get("./api-keys")).json()["items"]
    assert listed == [{name: value for name, value in key.items() if name != "key"}]
    assert (await caller.get(f"./api-keys/{key['id']}")).json() == listed[0]
    [row] = await rows(api.installation, "SELECT * FROM public.api_keys WHERE tenant_id = $1", tenant.id)
    assert key["key"] not in repr(row)
    [entry] = await entries(api, tenant, "api_key.created")
    assert entry["actor_id"] == caller.account.id
    assert entry["subject"] == f"api_key:{key['id']}"


async def test_a_key_records_usage_and_shows_its_last_use(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    key = await made(owner, tenant)
    assert key["last_used_at"] is None
    answer = await record(api, key["key"], tenant)
    assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    shown = (await owner.get(f"./api-keys/{key['id']}")).json()
    assert shown["last_used_at"] is not None


async def test_only_an_operator_gives_the_scope_to_backfill(api: Api, tenant: Tenant) -> None:
    owner, operator = await api.as_(Role.OWNER, tenant), await api.operator()
    body = {"name": "history", "scopes": ["usage:write", "usage:backfill"]}
    problem_of(await owner.post("./api-keys", json=body), 403, "not-permitted")
    [entry] = await entries(api, tenant, "api_key.created")
    assert (entry["outcome"], entry["actor_id"]) == ("denied", owner.account.id)
    plain = await made(owner, tenant)
    problem_of(await record(api, plain["key"], tenant, occurred_at=LONG_AGO), 422)
    key = await made(operator, tenant, "usage:backfill")
    answer = await record(api, key["key"], tenant, occurred_at=LONG_AGO)
    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_members_and_viewers_neither_see_nor_make_keys(api: Api, tenant: Tenant, role: Role) -> None:
    caller = await api.as_(role, tenant)
    problem_of(await caller.post("./api-keys", json={"name": "x", "scopes": ["usage:read"]}), 403)
    problem_of(await caller.get("./api-keys"), 403)


async def test_a_key_manages_no_keys_and_has_no_account(api: Api, tenant: Tenant) -> None:
    key = await made(
        await api.operator(), tenant, "usage:write", "usage:read", "costs:read", "usage:backfill"
    )
    headers = {"Authorization": f"Bearer {key['key']}"}
    problem_of(await api.get(f"/tenants/{tenant.id}/api-keys", headers=headers), 403)
    problem_of(await api.get("/auth/me", headers=headers), 401)


async def test_a_key_is_for_its_own_tenant(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    key = await made(await api.as_(Role.OWNER, tenant), tenant)
    problem_of(await record(api, key["key"], other_tenant), 404, "not-found")
    [entry] = await rows(
        api.installation, "SELECT * FROM public.audit_log WHERE actor_id::text = $1", key["id"]
    )
    assert (entry["action"], entry["actor_kind"]) == ("tenant.foreign_access", "api_key")
    problem_of(await record(api, key["key"], tenant, {"X-Tenant": other_tenant.slug}), 400)
    assert (await record(api, key["key"], tenant, {"X-Tenant": tenant.slug})).status_code == 200


async def test_whoever_asks_for_others_again_and_again_does_not_fill_the_log(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    stranger = await api.as_(Role.MEMBER, tenant)
    before = REGISTRY.get_sample_value("foreign_accesses_total")
    for _ in range(30):
        problem_of(await stranger.get(f"/tenants/{other_tenant.id}/usage"), 404)
    query = "SELECT details::text LIKE '%not audited%' AS is_last FROM public.audit_log WHERE actor_id = $1"
    entries = [entry["is_last"] for entry in await rows(api.installation, query, stranger.account.id)]
    assert (entries.count(False), entries.count(True)) == (21, 1)
    assert REGISTRY.get_sample_value("foreign_accesses_total") == (before or 0) + 30


async def test_another_tenants_key_can_be_neither_read_nor_revoked(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    key = await made(await api.as_(Role.OWNER, tenant), tenant)
    stranger = await api.as_(Role.OWNER, other_tenant)
    problem_of(await stranger.get(f"./api-keys/{key['id']}"), 404)
    problem_of(await stranger.send("DELETE", f"./api-keys/{key['id']}"), 404)
    assert (await record(api, key["key"], tenant)).status_code == 200


async def test_a_revoked_key_is_refused_at_once_also_in_a_suspended_tenant(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    key = await made(owner, tenant)
    assert (await record(api, key["key"], tenant)).status_code == 200
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    problem_of(await record(api, key["key"], tenant), 403, "tenant-not-writable")
    problem_of(await owner.post("./api-keys", json={"name": "x", "scopes": ["usage:read"]}), 403)
    for _ in range(2):
        assert (await owner.send("DELETE", f"./api-keys/{key['id']}")).status_code == 204
    problem_of(await record(api, key["key"], tenant), 401, "not-authenticated")
    assert (await owner.get(f"./api-keys/{key['id']}")).json()["revoked_at"] is not None
    assert await entries(api, tenant, "api_key.revoked")


async def test_an_expired_key_is_refused_although_it_was_used_a_moment_ago(api: Api, tenant: Tenant) -> None:
    key = await made(await api.as_(Role.OWNER, tenant), tenant, expires_at="2100-01-01T00:00:00Z")
    assert (await record(api, key["key"], tenant)).status_code == 200
    with pytest.raises(NotAuthenticated, match="expired"):
        await api.services.api_keys.identify(key["key"], address=None, now=datetime(2100, 1, 1, tzinfo=UTC))


async def test_a_key_is_refused_from_another_network(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    near = await made(owner, tenant, networks=["127.0.0.0/8"])
    far = await made(owner, tenant, networks=["203.0.113.0/24", "2001:db8::/32"])
    assert (await record(api, near["key"], tenant)).status_code == 200
    problem_of(await record(api, far["key"], tenant), 401)


async def test_mistyped_and_unknown_keys_are_refused(api: Api, tenant: Tenant) -> None:
    key = (await made(await api.as_(Role.OWNER, tenant), tenant))["key"]
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert "mistyped" in problem_of(await record(api, mistyped, tenant), 401)["detail"]
    unknown = "eup_5Rc8o8s9Kq4yJkB9zDfTz7mQn2pXw1vA_000000"
    problem_of(await record(api, unknown, tenant), 401)


async def test_a_repeated_request_makes_one_key_and_does_not_show_it_again(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    headers, body = {"Idempotency-Key": "once"}, {"name": "meter", "scopes": ["usage:write"]}
    first = await owner.post("./api-keys", json=body, headers=headers)
    again = await owner.post("./api-keys", json=body, headers=headers)
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json() | {"key": None}
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-store"
    other = await owner.post("./api-keys", json=body | {"name": "other"}, headers=headers)
    problem_of(other, 409, "idempotency-conflict")
    kept = await rows(api.installation, "SELECT result FROM public.idempotency_keys WHERE key = 'once'")
    assert first.json()["key"] not in repr(kept)


async def test_keys_are_listed_by_age_page_by_page(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    names = ["a", "b", "c"]
    for name in names:
        await made(owner, tenant, name=name)
    first = (await owner.get("./api-keys?limit=2")).json()
    rest = (await owner.get(f"./api-keys?limit=2&cursor={first['next_cursor']}")).json()
    assert [key["name"] for key in first["items"] + rest["items"]] == names
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"networks": ["10.0.0.1/8"]}, "networks[0]"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        ({"name": ""}, "name"),
    ],
)
async def test_what_is_wrong_with_a_key_is_named(
    api: Api, tenant: Tenant, fields: dict[str, Any], field: str
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    body = {"name": "meter", "scopes": ["usage:write"]} | fields
    problem = problem_of(await owner.post("./api-keys", json=body), 422, "invalid-input")
    assert [error["field"] for error in problem["errors"]] == [field]
