"""The registry over HTTP: create, list, read, change, suspend, activate, ask for deletion."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from core.permission import Role
from core.tenant import Tenant, TenantState
from tests.events import sent
from tests.installation import current, found, new_slug, put_into, register, rows
from tests.web.client import Api, Caller, problem_of


def organisation(**fields: object) -> dict[str, object]:
    return {"name": "Acme GmbH", "slug": new_slug("org"), "country": "DE"} | fields


async def audited(api: Api, tenant: Tenant) -> list[tuple[object, object]]:
    query = """
        SELECT action, actor_id FROM audit_log
        WHERE subject = $1 AND actor_kind <> 'system' ORDER BY occurred_at
    """
    entries = await rows(api.installation, query, f"tenant:{tenant.id}")
    return [(entry["action"], entry["actor_id"]) for entry in entries]


async def all_tenants(caller: Caller, **query: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await caller.get("/tenants", params=query | ({"cursor": cursor} if cursor else {}))).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    return seen


# --- create ---------------------------------------------------------------------------------------


async def test_an_operator_creates_a_tenant_without_an_owner(api: Api) -> None:
    operator = await api.operator()
    body = organisation(country="AT", vat_id="ATU12345678")
    answer = await operator.post("/tenants", json=body)
    assert answer.status_code == 201, answer.text
    founded = answer.json()
    assert answer.headers["location"] == f"/api/v1/tenants/{founded['tenant']['id']}"
    assert body.items() <= founded["tenant"].items()
    assert (founded["tenant"]["state"], founded["tenant"]["time_zone"]) == ("ACTIVE", "Europe/Vienna")
    assert founded["user"] is None
    tenant = msgspec.convert(founded["tenant"], Tenant)
    assert await audited(api, tenant) == [("tenant.founded", operator.account.id)]
    usage = await operator.post(f"/tenants/{tenant.id}/usage", json=[sent("one")])
    assert usage.json()["accepted"] == 1


async def test_a_tenant_may_name_its_time_zone(api: Api) -> None:
    operator = await api.operator()
    answer = await operator.post("/tenants", json=organisation(time_zone="Pacific/Auckland"))
    assert answer.json()["tenant"]["time_zone"] == "Pacific/Auckland"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "platform"}, "slug"),
        ({"slug": "A"}, "slug"),
        ({"country": "XX"}, "country"),
        ({"vat_id": "1"}, "vat_id"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"name": ""}, "name"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_a_bad_organisation_is_refused_with_its_place(
    api: Api, change: dict[str, object], field: str
) -> None:
    answer = await (await api.operator()).post("/tenants", json=organisation(**change))
    (error,) = problem_of(answer, 422)["errors"]
    assert field in f"{error['field']}: {error['detail']}"


async def test_a_slug_that_is_taken_is_refused(api: Api, tenant: Tenant) -> None:
    answer = await (await api.operator()).post("/tenants", json=organisation(slug=tenant.slug))
    problem_of(answer, 409, "slug-taken")


async def test_a_repeated_creation_gives_the_same_tenant_and_another_one_is_refused(api: Api) -> None:
    operator, body, headers = await api.operator(), organisation(), {"Idempotency-Key": str(uuid4())}
    first = await operator.post("/tenants", json=body, headers=headers)
    second = await operator.post("/tenants", json=body, headers=headers)
    assert (second.status_code, second.json()) == (201, first.json())
    answer = await operator.post("/tenants", json=organisation(), headers=headers)
    problem_of(answer, 409, "idempotency-conflict")


async def test_the_keys_of_two_operators_are_their_own(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    answers = [
        await (await api.operator()).post("/tenants", json=organisation(), headers=headers) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["tenant"]["id"] != answers[1].json()["tenant"]["id"]


# --- read and list ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER])
async def test_a_tenant_is_read_by_its_own_accounts(api: Api, tenant: Tenant, role: Role) -> None:
    answer = await (await api.as_(role, tenant)).get(f"/tenants/{tenant.id}")
    assert (answer.status_code, answer.json()) == (200, msgspec.to_builtins(tenant))


@pytest.mark.parametrize("state", list(TenantState))
async def test_an_operator_reads_a_tenant_in_any_state(api: Api, tenant: Tenant, state: TenantState) -> None:
    await put_into(api.installation, tenant, state)
    answer = await (await api.operator()).get(f"/tenants/{tenant.id}")
    assert (answer.status_code, answer.json()["state"]) == (200, state)


async def test_an_unknown_tenant_is_not_found(api: Api) -> None:
    problem_of(await (await api.operator()).get(f"/tenants/{uuid4()}"), 404, "not-found")
    problem_of(await (await api.operator()).get("/tenants/no-id"), 404, "not-found")


async def test_following_the_cursor_gives_every_tenant_once_while_others_are_founded(api: Api) -> None:
    operator = await api.operator()
    first = [await register(api.installation) for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    founded = 0
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await operator.get("/tenants", params=query)).json()
        seen += [tenant["id"] for tenant in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if founded < 3:
            await register(api.installation)
            founded += 1
    assert len(seen) == len(set(seen)), "none twice"
    mine = [tenant_id for tenant_id in seen if tenant_id in {str(tenant.id) for tenant in first}]
    assert mine == [str(tenant.id) for tenant in first], "none lost, by age"


async def test_a_list_can_be_narrowed_to_a_state(api: Api, tenant: Tenant) -> None:
    operator = await api.operator()
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    listed = await all_tenants(operator, state="SUSPENDED", limit="2")
    assert str(tenant.id) in {each["id"] for each in listed}
    assert {each["state"] for each in listed} == {"SUSPENDED"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"state": "OPEN"}, "state"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WzFd"}, "cursor"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, query: dict[str, str], field: str) -> None:
    (error,) = problem_of(await (await api.operator()).get("/tenants", params=query), 422)["errors"]
    assert error["field"] == field


# --- change ---------------------------------------------------------------------------------------


async def test_an_admin_changes_name_and_billing_data(api: Api, tenant: Tenant) -> None:
    admin = await api.as_(Role.ADMIN, tenant)
    changes = {"name": "Acme AG", "country": "AT", "vat_id": "ATU12345678"}
    answer = await admin.send("PATCH", f"/tenants/{tenant.id}", json=changes)
    assert (answer.status_code, answer.json()) == (200, msgspec.to_builtins(tenant) | changes)
    assert await current(api.installation, tenant) == msgspec.structs.replace(tenant, **changes)
    assert await audited(api, tenant) == [("tenant.updated", admin.account.id)]


async def test_what_is_left_out_stays_and_null_removes(api: Api) -> None:
    tenant = await found(api.installation, vat_id="DE123456789")
    owner = await api.as_(Role.OWNER, tenant)
    path = f"/tenants/{tenant.id}"
    assert (await owner.send("PATCH", path, json={"name": "New"})).json()["vat_id"] == "DE123456789"
    assert (await owner.send("PATCH", path, json={"vat_id": None})).json()["vat_id"] is None
    assert (await owner.send("PATCH", path, json={})).json()["name"] == "New"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"country": "XX"}, "country"),
        ({"country": "AT"}, "vat_id"),
        ({"vat_id": "nonsense"}, "vat_id"),
        ({"slug": "other"}, "slug"),
        ({"time_zone": "UTC"}, "time_zone"),
        ({"state": "DELETED"}, "state"),
    ],
)
async def test_a_bad_change_is_refused_and_changes_nothing(
    api: Api, changes: dict[str, object], field: str
) -> None:
    tenant = await found(api.installation, vat_id="DE123456789")
    owner = await api.as_(Role.OWNER, tenant)
    answer = await owner.send("PATCH", f"/tenants/{tenant.id}", json=changes)
    (error,) = problem_of(answer, 422)["errors"]
    assert field in f"{error['field']}: {error['detail']}"
    assert await current(api.installation, tenant) == tenant
    assert await audited(api, tenant) == []


async def test_a_suspended_tenant_takes_no_change(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    answer = await owner.send("PATCH", f"/tenants/{tenant.id}", json={"name": "New"})
    problem_of(answer, 403, "tenant-not-writable")


# --- suspend, activate, delete --------------------------------------------------------------------


async def test_an_operator_suspends_and_activates(api: Api, tenant: Tenant) -> None:
    operator, owner = await api.operator(), await api.as_(Role.OWNER, tenant)
    suspended = await operator.post(f"/tenants/{tenant.id}/suspend")
    assert (suspended.status_code, suspended.json()["state"]) == (200, "SUSPENDED")
    problem_of(await owner.post("./usage", json=[sent("one")]), 403, "tenant-not-writable")
    active = await operator.post(f"/tenants/{tenant.id}/activate")
    assert (active.status_code, active.json()["state"]) == (200, "ACTIVE")
    assert (await owner.post("./usage", json=[sent("one")])).status_code == 200
    expected = [("tenant.suspend", operator.account.id), ("tenant.activate", operator.account.id)]
    assert await audited(api, tenant) == expected


@pytest.mark.parametrize(
    ("state", "step"),
    [
        *((state, "suspend") for state in TenantState if state is not TenantState.ACTIVE),
        *((state, "activate") for state in TenantState if state is not TenantState.SUSPENDED),
    ],
)
async def test_a_step_that_the_lifecycle_does_not_have_is_refused(
    api: Api, state: TenantState, step: str
) -> None:
    tenant = await put_into(api.installation, await register(api.installation), state)
    problem = problem_of(
        await (await api.operator()).post(f"/tenants/{tenant.id}/{step}"), 409, "transition-refused"
    )
    assert state in problem["detail"]
    assert (await current(api.installation, tenant)).state is state


@pytest.mark.parametrize("confirm", [None, "", "other", "ACME"])
async def test_a_deletion_without_the_slug_is_refused(api: Api, tenant: Tenant, confirm: str | None) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    query = {} if confirm is None else {"confirm": confirm}
    problem_of(await owner.send("DELETE", f"/tenants/{tenant.id}", params=query), 422)
    assert await current(api.installation, tenant) == tenant
    assert await audited(api, tenant) == []


# --- jobs -------------------------------------------------------------------------------------------


async def test_the_job_that_made_a_tenant_can_be_looked_at(api: Api) -> None:
    operator = await api.operator()
    founded = (await operator.post("/tenants", json=organisation())).json()
    tenant_id, job_id = founded["tenant"]["id"], founded["job"]["id"]
    answer = await operator.get(f"/tenants/{tenant_id}/jobs/{job_id}")
    assert (answer.status_code, answer.json()) == (200, founded["job"])
    job = answer.json()
    assert (job["state"], job["progress"], job["step"], job["attempts"]) == ("DONE", 1.0, "founder", 1)


async def test_a_job_of_another_tenant_is_not_found(api: Api, tenant: Tenant) -> None:
    operator, owner = await api.operator(), await api.as_(Role.OWNER, tenant)
    job_id = UUID((await operator.post("/tenants", json=organisation())).json()["job"]["id"])
    for each in (job_id, uuid4()):
        problem_of(await owner.get(f"./jobs/{each}"), 404, "not-found")
        problem_of(await operator.get(f"/tenants/{tenant.id}/jobs/{each}"), 404, "not-found")


async def test_an_operator_founds_a_tenant_of_a_tier_and_gives_it_another(api: Api) -> None:
    operator = await api.operator()
    body = {"name": "Acme", "slug": new_slug(), "country": "DE", "tier": "basic"}
    tenant = (await operator.post("/tenants", json=body)).json()["tenant"]
    assert tenant["tier"] == "basic"
    path = f"/tenants/{tenant['id']}"
    assert (await operator.send("PATCH", path, json={"tier": "premium"})).json()["tier"] == "premium"
    for method, where, wrong in (
        ("PATCH", path, {"tier": "gold"}),
        ("POST", "/tenants", body | {"slug": new_slug(), "tier": "gold"}),
    ):
        problem = problem_of(await operator.send(method, where, json=wrong), 422, "invalid-input")
        assert problem["errors"] == [{"field": "tier", "detail": "is not one of basic, premium, standard"}]
    query = "SELECT details::text FROM public.audit_log WHERE subject = $1 AND action = 'tenant.updated'"
    [entry] = await rows(api.installation, query, f"tenant:{tenant['id']}")
    assert "premium" in str(entry["details"])


async def test_nobody_gives_the_own_tenant_another_tier(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    problem_of(await owner.send("PATCH", "./", json={"tier": "premium"}), 403, "not-permitted")
    problem_of(await owner.post("/auth/register", json={"organisation": {"tier": "premium"}}), 422)
    assert (await owner.get("./")).json()["tier"] == "standard"
