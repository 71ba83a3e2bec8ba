"""Invitations: who may invite whom, and what the token opens, once."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from core.membership import INVITATION_LIFETIME
from core.permission import Role
from core.tenant import Tenant, TenantState
from tests.installation import administrator, new_slug, put_into, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of


async def invited(caller: Caller, tenant: Tenant, email: str, role: Role = Role.MEMBER) -> dict[str, Any]:
    """A new invitation, with its token."""
    body = {"email": email, "role": role}
    answer = await caller.post(f"/tenants/{tenant.id}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    invitation: dict[str, Any] = answer.json()
    return invitation


async def accepted(api: Api, token: str, **fields: Any) -> httpx.Response:
    """The answer to accepting an invitation."""
    body = {"invitation": token, "password": PASSWORD, "full_name": "Grace Hopper"}
    return await api.post("/auth/register", json=body | fields)


async def entries(api: Api, tenant: Tenant) -> list[Mapping[str, object]]:
    """What the tenant's chain says of invitations."""
    query = """
        SELECT * FROM public.audit_log WHERE chain = $1 AND action LIKE 'invitation.%' ORDER BY occurred_at
    """
    return await rows(api.installation, query, tenant.chain)


async def test_who_accepts_an_invitation_gets_its_role_and_can_log_in(api: Api, tenant: Tenant) -> None:
    admin = await api.as_(Role.ADMIN, tenant)
    invitation = await invited(admin, tenant, " Grace@Example.com ", Role.VIEWER)
    assert invitation["token"].startswith(f"eui_{tenant.slug}_")
    lifetime = datetime.fromisoformat(invitation["expires_at"]) - datetime.fromisoformat(
        invitation["created_at"]
    )
    assert lifetime == INVITATION_LIFETIME == timedelta(days=7)
    answer = await accepted(api, invitation["token"])
    assert answer.status_code == 201
    joined = answer.json()
    assert (joined["user"]["email"], joined["user"]["role"]) == ("grace@example.com", "VIEWER")
    assert joined["tenant"]["id"] == str(tenant.id)
    credentials = {"tenant": tenant.slug, "email": "grace@example.com", "password": PASSWORD}
    assert (await api.post("/auth/login", json=credentials)).status_code == 200
    made, taken = await entries(api, tenant)
    assert (made["action"], made["actor_id"]) == ("invitation.created", admin.account.id)
    assert (taken["action"], taken["actor_kind"]) == ("invitation.accepted", "anonymous")
    [listed] = (await admin.get("./invitations")).json()["items"]
    assert listed["accepted_at"] is not None
    assert "token" not in listed


async def test_a_token_is_kept_as_a_hash(api: Api, tenant: Tenant) -> None:
    invitation = await invited(await api.as_(Role.OWNER, tenant), tenant, "a@example.com")
    kept = await rows(api.installation, f"SELECT * FROM {tenant.schema}.invitations")
    assert invitation["token"] not in repr(kept)


async def test_an_invitation_is_accepted_once_by_whomever_is_first(api: Api, tenant: Tenant) -> None:
    token = (await invited(await api.as_(Role.OWNER, tenant), tenant, "one@example.com"))["token"]
    answers = await asyncio.gather(*(accepted(api, token) for _ in range(10)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 422, 429}  # who asks too often has to wait


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OWNER])
async def test_nobody_invites_above_his_own_role(api: Api, tenant: Tenant, role: Role) -> None:
    admin, member = await api.as_(Role.ADMIN, tenant), await api.as_(Role.MEMBER, tenant)
    body = {"email": "x@example.com", "role": role}
    problem_of(await member.post("./invitations", json=body), 403, "not-permitted")
    answer = await admin.post("./invitations", json=body)
    if role is Role.ADMIN:
        assert answer.status_code == 201
    else:
        problem_of(answer, 403, "role-too-high")
        [entry] = await entries(api, tenant)
        assert entry["outcome"] == "denied"


async def test_an_operator_invites_the_first_owner(api: Api, tenant: Tenant) -> None:
    invitation = await invited(await api.operator(), tenant, "first@example.com", Role.OWNER)
    assert (await accepted(api, invitation["token"])).json()["user"]["role"] == "OWNER"


async def test_a_revoked_invitation_opens_nothing(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    admin, stranger = await api.as_(Role.ADMIN, tenant), await api.as_(Role.OWNER, other_tenant)
    invitation = await invited(admin, tenant, "r@example.com")
    path = f"./invitations/{invitation['id']}"
    problem_of(await stranger.send("DELETE", path), 404)
    for _ in range(2):
        assert (await admin.send("DELETE", path)).status_code == 204
    problem_of(await accepted(api, invitation["token"]), 422, "invitation-refused")


async def test_an_admin_does_not_revoke_an_owners_invitation(api: Api, tenant: Tenant) -> None:
    owner, admin = await api.as_(Role.OWNER, tenant), await api.as_(Role.ADMIN, tenant)
    invitation = await invited(owner, tenant, "o@example.com", Role.OWNER)
    problem_of(await admin.send("DELETE", f"./invitations/{invitation['id']}"), 403, "role-too-high")
    assert (await accepted(api, invitation["token"])).status_code == 201
    problem_of(await owner.send("DELETE", f"./invitations/{invitation['id']}"), 404)


async def test_an_expired_invitation_opens_nothing(api: Api, tenant: Tenant) -> None:
    token = (await invited(await api.as_(Role.OWNER, tenant), tenant, "late@example.com"))["token"]
    async with administrator(api.installation.admin_url) as admin:
        await admin.execute(f"UPDATE {tenant.schema}.invitations SET expires_at = now()")
    problem_of(await accepted(api, token), 422, "invitation-refused")


@pytest.mark.parametrize("change", [{"role": "MEMBER"}, {"state": "DEACTIVATED"}])
async def test_invitations_beyond_what_the_inviter_has_become_are_revoked(
    api: Api, tenant: Tenant, change: dict[str, str]
) -> None:
    owner, admin = await api.as_(Role.OWNER, tenant), await api.as_(Role.ADMIN, tenant)
    high = await invited(admin, tenant, "high@example.com", Role.ADMIN)
    low = await invited(admin, tenant, "low@example.com", Role.MEMBER)
    assert (await owner.send("PATCH", f"./users/{admin.account.id}", json=change)).status_code == 200
    problem_of(await accepted(api, high["token"]), 422, "invitation-refused")
    assert (await accepted(api, low["token"])).status_code == (201 if "role" in change else 422)


async def test_an_address_that_is_taken_is_a_conflict(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    body = {"email": owner.account.email.upper(), "role": "MEMBER"}
    problem_of(await owner.post("./invitations", json=body), 409, "email-in-use")
    first, second = [await invited(owner, tenant, "twice@example.com") for _ in range(2)]
    assert (await accepted(api, first["token"])).status_code == 201
    problem_of(await accepted(api, second["token"]), 409, "email-in-use")
    listed = (await owner.get("./invitations")).json()["items"]
    assert [bool(invitation["accepted_at"]) for invitation in listed] == [True, False]


async def test_a_repeated_request_makes_one_invitation_and_does_not_show_its_token_again(
    api: Api, tenant: Tenant
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    headers, body = {"Idempotency-Key": "once"}, {"email": "once@example.com", "role": "MEMBER"}
    answers = await asyncio.gather(
        *(owner.post("./invitations", json=body, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(answer.json()["token"] is not None for answer in answers) == 1
    other = await owner.post("./invitations", json=body | {"role": "ADMIN"}, headers=headers)
    problem_of(other, 409, "idempotency-conflict")


async def test_nobody_enters_a_suspended_tenant(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    invitation = await invited(owner, tenant, "s@example.com")
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    problem_of(await accepted(api, invitation["token"]), 403, "tenant-not-writable")
    body = {"email": "t@example.com", "role": "MEMBER"}
    problem_of(await owner.post("./invitations", json=body), 403, "tenant-not-writable")
    assert (await owner.send("DELETE", f"./invitations/{invitation['id']}")).status_code == 204


async def test_a_token_leads_into_the_tenant_that_made_it_only(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    token = (await invited(await api.as_(Role.OWNER, tenant), tenant, "x@example.com"))["token"]
    moved = token.replace(tenant.slug, other_tenant.slug, 1)
    for text in (moved, "eui_platform_x", "eui_nobody_x", "eui", "x", token.replace("eui", "eur", 1)):
        problem_of(await accepted(api, text), 422, "invitation-refused")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": "short"}, "password"),
        ({"full_name": 7}, "full_name"),
        ({"invitation": None}, "invitation"),
        ({"email": "x@example.com"}, "$"),
        ({"organisation": {}}, "$"),
    ],
)
async def test_what_is_wrong_with_an_acceptance_is_named(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    problem = problem_of(await accepted(api, "eui_x_y", **fields), 422, "invalid-input")
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"\xff", 400), (b"[]", 422), (b"null", 422), (b"{}", 422)]
)
async def test_what_is_no_registration_is_refused(api: Api, content: bytes, status: int) -> None:
    problem_of(await api.post("/auth/register", content=content), status)


async def test_an_organisation_is_still_founded(api: Api) -> None:
    organisation = {"name": "Acme", "slug": new_slug(), "country": "DE"}
    body = {
        "organisation": organisation,
        "email": "ada@example.com",
        "password": PASSWORD,
        "full_name": "Ada",
    }
    answer = await api.post("/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["user"]["role"] == "OWNER"
    wrong = body | {"organisation": organisation | {"country": "Germany"}}
    problem = problem_of(await api.post("/auth/register", json=wrong), 422)
    assert problem["errors"][0]["field"] == "organisation.country"


async def test_the_document_shows_both_bodies(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    operation = document["paths"]["/api/v1/auth/register"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    names = [form["$ref"].rpartition("/")[2] for form in schema["oneOf"]]
    assert names == ["Registration", "Acceptance"]
    assert all(document["components"]["schemas"][name]["examples"] for name in names)
