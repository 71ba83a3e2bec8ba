"""Logins, keys, people, factors and operators: the audit log has who, from where, and how it ended."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from pyotp.totp import TOTP

from core.audit import PLATFORM_CHAIN
from core.identity import Account
from core.permission import Role
from core.tenant import PLATFORM_SLUG, Tenant
from shell.commands.connect import Connected
from shell.commands.keys import rotate_audited
from shell.commands.operator import create_operator
from shell.keys import load_keys
from tests.events import sent
from tests.installation import add_account, new_slug, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of

HERE = "127.0.0.1"


async def entry_of(api: Api, chain: str, action: str, subject: str) -> Mapping[str, object]:
    """The one entry of this action on this subject."""
    query = """
        SELECT chain, actor_kind, actor_id, outcome, address, details, request_id FROM public.audit_log
        WHERE chain = $1 AND action = $2 AND subject = $3
    """
    [entry] = await rows(api.installation, query, chain, action, subject)
    return entry


def told(entry: Mapping[str, object]) -> tuple[object, ...]:
    """Who, from where, and how it ended."""
    return entry["actor_kind"], entry["actor_id"], entry["address"], entry["outcome"]


async def person(api: Api, tenant: Tenant | None, role: Role = Role.MEMBER) -> Account:
    """Somebody with a password."""
    phc = await api.services.passwords.hash(PASSWORD)
    return await add_account(api.installation, tenant, role, phc=phc)


async def log_in(api: Api, slug: str, email: str, password: str = PASSWORD) -> dict[str, str]:
    """The tokens, or nothing where the credentials are refused."""
    body = {"tenant": slug, "email": email, "password": password}
    answer = await api.post("/auth/login", json=body)
    if answer.status_code != 200:
        problem_of(answer, 401, "wrong-credentials")
        return {}
    tokens: dict[str, str] = answer.json()
    return tokens


async def test_a_login(api: Api, tenant: Tenant) -> None:
    ada = await person(api, tenant)
    await log_in(api, tenant.slug, ada.email)
    entry = await entry_of(api, tenant.chain, "auth.login", f"user:{ada.id}")
    assert told(entry) == ("anonymous", None, HERE, "success")


async def test_a_failed_login_of_a_user(api: Api, tenant: Tenant) -> None:
    ada = await person(api, tenant)
    assert not await log_in(api, tenant.slug, ada.email, "wrong")
    entry = await entry_of(api, tenant.chain, "auth.login_failed", f"user:{ada.id}")
    assert told(entry) == ("anonymous", None, HERE, "denied")
    assert entry["request_id"] is not None


async def test_a_failed_login_of_an_operator(api: Api) -> None:
    operator = await person(api, None, Role.OPERATOR)
    assert not await log_in(api, PLATFORM_SLUG, operator.email, "wrong")
    entry = await entry_of(api, PLATFORM_CHAIN, "auth.login_failed", f"user:{operator.id}")
    assert told(entry) == ("anonymous", None, HERE, "denied")


async def test_a_failed_login_of_an_unknown_user_without_what_was_typed(api: Api, tenant: Tenant) -> None:
    assert not await log_in(api, tenant.slug, "my secret password")
    entry = await entry_of(api, tenant.chain, "auth.login_failed", "user:unknown")
    assert told(entry) == ("anonymous", None, HERE, "denied")
    assert "secret" not in str(entry)


async def test_a_failed_login_at_an_unknown_tenant_in_the_platforms_chain(api: Api) -> None:
    query = """
        SELECT actor_kind, actor_id, address, outcome FROM public.audit_log
        WHERE chain = 'platform' AND action = 'auth.login_failed' AND subject = 'user:unknown'
    """
    before = await rows(api.installation, query)
    assert not await log_in(api, new_slug("nobody"), "ada@example.com")
    after = await rows(api.installation, query)
    assert len(after) == len(before) + 1
    assert told(after[-1]) == ("anonymous", None, HERE, "denied")


async def test_the_reuse_of_a_refresh_token(api: Api, tenant: Tenant) -> None:
    ada = await person(api, tenant)
    body = {"refresh_token": (await log_in(api, tenant.slug, ada.email))["refresh_token"]}
    assert (await api.post("/auth/refresh", json=body)).status_code == 200
    problem_of(await api.post("/auth/refresh", json=body), 401, "refresh-token-refused")
    entry = await entry_of(api, tenant.chain, "auth.refresh_reused", f"user:{ada.id}")
    assert told(entry) == ("anonymous", None, HERE, "denied")


@pytest.mark.parametrize("keep_old", [True, False])
async def test_the_rotation_of_signing_keys(api: Api, tmp_path: Path, keep_old: bool) -> None:
    installation = api.installation
    settings = msgspec.structs.replace(installation.settings, keys=tmp_path / "keys")
    platform = Connected(settings, installation.pool, installation.owner_pool)
    kid = await rotate_audited(platform, keep_old=keep_old)
    assert load_keys(settings, datetime.now(UTC)).kid == kid
    entry = await entry_of(api, PLATFORM_CHAIN, "signing_key.rotated", f"signing_key:{kid}")
    assert told(entry) == ("system", None, "local", "success")
    assert ("revoked" in str(entry["details"])) is not keep_old


async def test_the_creation_of_an_operator(api: Api) -> None:
    installation, email = api.installation, f"{uuid4()}@example.com"
    platform = Connected(installation.settings, installation.pool, installation.owner_pool)
    await create_operator(
        platform, email=email, full_name="Grace Hopper", role=Role.AUDITOR, password="tall orange giraffe 71"
    )
    [row] = await rows(installation, "SELECT id FROM public.users WHERE email = $1", email)
    entry = await entry_of(api, PLATFORM_CHAIN, "operator.created", f"operator:{row['id']}")
    assert told(entry) == ("system", None, "local", "success")


async def test_a_change_of_role_and_its_refusal(api: Api, tenant: Tenant) -> None:
    owner, admin = await api.as_(Role.OWNER, tenant), await api.as_(Role.ADMIN, tenant)
    member = await person(api, tenant)
    changed = await owner.send("PATCH", f"./users/{member.id}", json={"role": "VIEWER"})
    assert changed.status_code == 200
    entry = await entry_of(api, tenant.chain, "user.updated", f"user:{member.id}")
    assert told(entry) == ("user", owner.account.id, HERE, "success")
    refused = await admin.send("PATCH", f"./users/{owner.account.id}", json={"role": "VIEWER"})
    assert refused.status_code == 403
    entry = await entry_of(api, tenant.chain, "user.updated", f"user:{owner.account.id}")
    assert told(entry) == ("user", admin.account.id, HERE, "denied")


async def test_an_invitation_from_its_making_to_its_acceptance(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    made = (await owner.post("./invitations", json={"email": "new@example.com", "role": "VIEWER"})).json()
    other = (await owner.post("./invitations", json={"email": "old@example.com", "role": "VIEWER"})).json()
    body = {"invitation": made["token"], "password": "tall orange giraffe 71", "full_name": "Grace Hopper"}
    assert (await api.post("/auth/register", json=body)).status_code == 201
    assert (await owner.send("DELETE", f"./invitations/{other['id']}")).status_code == 204
    by_owner = ("user", owner.account.id, HERE, "success")
    for action, id_, who in (
        ("created", made["id"], by_owner),
        ("accepted", made["id"], ("anonymous", None, HERE, "success")),
        ("revoked", other["id"], by_owner),
    ):
        entry = await entry_of(api, tenant.chain, f"invitation.{action}", f"invitation:{id_}")
        assert told(entry) == who


async def test_a_second_factor_and_a_wrong_code(api: Api, tenant: Tenant) -> None:
    account = await person(api, tenant)
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    totp = TOTP((await caller.post("/auth/totp", json={"password": PASSWORD})).json()["secret"])
    assert (await caller.post("/auth/totp/confirm", json={"code": "abcdef"})).status_code == 401
    assert (await caller.post("/auth/totp/confirm", json={"code": totp.now()})).status_code == 200
    me = caller.account.id
    for action, outcome in (
        ("auth.totp_enrolled", "success"),
        ("auth.second_factor_failed", "denied"),
        ("auth.totp_confirmed", "success"),
    ):
        entry = await entry_of(api, tenant.chain, action, f"user:{me}")
        assert told(entry) == ("user", me, HERE, outcome)


async def test_an_api_key_that_is_made_and_revoked(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    made = (await owner.post("./api-keys", json={"name": "meter", "scopes": ["usage:write"]})).json()
    assert (await owner.send("DELETE", f"./api-keys/{made['id']}")).status_code == 204
    for action in ("api_key.created", "api_key.revoked"):
        entry = await entry_of(api, tenant.chain, action, f"api_key:{made['id']}")
        assert told(entry) == ("user", owner.account.id, HERE, "success")


async def test_what_an_operator_does_to_a_tenant(api: Api, tenant: Tenant) -> None:
    operator, subject = await api.operator(), f"tenant:{tenant.id}"
    path = f"/tenants/{tenant.id}"
    assert (await operator.post(f"{path}/usage", json=[sent("late")])).status_code == 200
    assert (await operator.post(f"{path}/suspend")).status_code == 200
    assert (await operator.post(f"{path}/activate")).status_code == 200
    for chain, action in (
        (tenant.chain, "usage.recorded"),
        (PLATFORM_CHAIN, "tenant.suspend"),
        (PLATFORM_CHAIN, "tenant.activate"),
    ):
        entry = await entry_of(api, chain, action, subject)
        assert told(entry) == ("operator", operator.account.id, HERE, "success")


async def test_usage_that_a_tenants_own_people_send_leaves_no_entry(api: Api, tenant: Tenant) -> None:
    member = await api.as_(Role.MEMBER, tenant)
    assert (await member.post("./usage", json=[sent("one")])).status_code == 200
    query = "SELECT FROM public.audit_log WHERE chain = $1 AND action = 'usage.recorded'"
    assert not await rows(api.installation, query, tenant.chain)
