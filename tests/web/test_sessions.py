"""Sessions: what one login begins, renewed by refresh tokens that work once, and ended in several ways."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from core.errors import NotAuthenticated
from core.identity import Account
from core.permission import Role
from core.tenant import PLATFORM_SLUG, Tenant
from shell.standing import REMEMBERED_SECONDS, Standings
from tests.installation import add_account, administrator, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of

AT_ONCE = 50


class Person(msgspec.Struct, frozen=True):
    """Somebody with a password."""

    api: Api
    account: Account
    tenant: Tenant | None

    async def log_in(self, device: str = "laptop") -> "Login":
        """A new session."""
        slug = PLATFORM_SLUG if self.tenant is None else self.tenant.slug
        body = {"tenant": slug, "email": self.account.email, "password": PASSWORD}
        answer = await self.api.post("/auth/login", json=body, headers={"User-Agent": device})
        assert answer.status_code == 200, answer.text
        return Login(self, answer.json())


class Login(msgspec.Struct, frozen=True):
    """A session, by the tokens that it was given last."""

    person: Person
    tokens: dict[str, Any]

    @property
    def caller(self) -> Caller:
        """Requests with the access token."""
        person = self.person
        return Caller(person.api.http, self.tokens["access_token"], person.account, person.tenant)

    async def refresh(self) -> httpx.Response:
        """The answer to using the refresh token."""
        return await self.person.api.post(
            "/auth/refresh", json={"refresh_token": self.tokens["refresh_token"]}
        )

    async def refreshed(self) -> "Login":
        """The session with its next tokens."""
        answer = await self.refresh()
        assert answer.status_code == 200, answer.text
        return Login(self.person, answer.json())

    async def sessions(self) -> list[dict[str, Any]]:
        """The account's sessions, but for the one that every test account has."""
        listed: list[dict[str, Any]] = (await self.caller.get("/auth/sessions")).json()["items"]
        return [session for session in listed if session["id"] != str(self.person.account.id)]

    async def id(self) -> str:
        """The session's id."""
        [current] = [session["id"] for session in await self.sessions() if session["current"]]
        assert isinstance(current, str)
        return current

    async def assert_ended(self) -> None:
        """Neither token is good any more."""
        problem_of(await self.caller.get("/auth/me"), 401, "not-authenticated")
        problem_of(await self.refresh(), 401, "refresh-token-refused")


async def person(api: Api, tenant: Tenant | None, role: Role = Role.MEMBER) -> Person:
    """A new account with a password."""
    phc = await api.services.passwords.hash(PASSWORD)
    return Person(api, await add_account(api.installation, tenant, role, phc=phc), tenant)


async def entries(api: Api, somebody: Person, action: str) -> list[Mapping[str, object]]:
    """What was audited of an action upon an account."""
    query = "SELECT * FROM public.audit_log WHERE action = $1 AND subject = $2"
    return await rows(api.installation, query, action, f"user:{somebody.account.id}")


async def test_a_refresh_token_works_once(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    first = await somebody.log_in()
    second = await first.refreshed()
    assert (await second.caller.get("/auth/me")).status_code == 200
    problem_of(await first.refresh(), 401, "refresh-token-refused")


async def test_reuse_ends_the_session_and_its_access_tokens_but_no_other(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    first, other = await somebody.log_in(), await somebody.log_in()
    session_id = await first.id()
    second = await first.refreshed()
    problem_of(await first.refresh(), 401)
    await second.assert_ended()
    assert (await other.caller.get("/auth/me")).status_code == 200
    await other.refreshed()
    query = f"SELECT revoked_at FROM {tenant.schema}.sessions WHERE id = $1"
    [row] = await rows(api.installation, query, UUID(session_id))
    assert row["revoked_at"] is not None
    assert {entry["outcome"] for entry in await entries(api, somebody, "auth.refresh_reused")} == {"denied"}


async def test_of_fifty_simultaneous_uses_one_wins_and_the_reuse_is_noticed(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    login = await somebody.log_in()
    answers = await asyncio.gather(*(login.refresh() for _ in range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * (AT_ONCE - 1)
    [won] = [Login(somebody, answer.json()) for answer in answers if answer.status_code == 200]
    await won.assert_ended()
    assert len(await entries(api, somebody, "auth.refresh_reused")) == 1


async def test_who_repeats_a_reuse_writes_no_more_into_the_log(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    login = await somebody.log_in()
    await login.refreshed()
    for _ in range(3):
        problem_of(await login.refresh(), 401)
    assert len(await entries(api, somebody, "auth.refresh_reused")) == 1


async def test_sessions_are_listed_with_device_address_and_times(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    laptop, phone = await somebody.log_in("laptop"), await somebody.log_in("phone")
    laptop = await laptop.refreshed()
    found = {session["device"]: session for session in await laptop.sessions()}
    assert {device: session["current"] for device, session in found.items()} == {
        "laptop": True,
        "phone": False,
    }
    assert found["phone"]["address"] == "127.0.0.1"
    assert found["laptop"]["last_used_at"] > found["laptop"]["created_at"]
    first = (await phone.caller.get("/auth/sessions?limit=2")).json()
    rest = (await phone.caller.get(f"/auth/sessions?limit=2&cursor={first['next_cursor']}")).json()
    assert len(first["items"]) == 2
    assert len(rest["items"]) == 1
    assert rest["next_cursor"] is None


async def test_one_session_is_ended_from_another(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    laptop, phone = await somebody.log_in(), await somebody.log_in()
    path = f"/auth/sessions/{await phone.id()}"
    assert (await laptop.caller.send("DELETE", path)).status_code == 204
    await phone.assert_ended()
    problem_of(await laptop.caller.send("DELETE", path), 404)
    assert len(await laptop.sessions()) == 1


async def test_nobody_ends_the_session_of_another(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    victim = await (await person(api, tenant)).log_in()
    session_id = await victim.id()
    for home in (tenant, other_tenant, None):
        stranger = await person(api, home, Role.OWNER if home else Role.AUDITOR)
        attempt = await (await stranger.log_in()).caller.send("DELETE", f"/auth/sessions/{session_id}")
        problem_of(attempt, 404, "not-found")
    assert (await victim.caller.get("/auth/me")).status_code == 200


@pytest.mark.parametrize("is_tenants", [True, False])
async def test_logging_out_everywhere_ends_all_sessions(api: Api, tenant: Tenant, is_tenants: bool) -> None:
    somebody = await (person(api, tenant) if is_tenants else person(api, None, Role.AUDITOR))
    laptop, phone = await somebody.log_in(), await somebody.log_in()
    assert (await laptop.caller.post("/auth/logout-everywhere")).status_code == 204
    await laptop.assert_ended()
    await phone.assert_ended()
    assert await entries(api, somebody, "auth.logout_everywhere")
    assert (await (await somebody.log_in()).caller.get("/auth/me")).status_code == 200


async def test_logging_out_ends_the_session_and_is_audited(api: Api, tenant: Tenant) -> None:
    somebody = await person(api, tenant)
    login = await somebody.log_in()
    body = {"refresh_token": login.tokens["refresh_token"]}
    assert (await api.post("/auth/logout", json=body)).status_code == 204
    await login.assert_ended()
    assert len(await entries(api, somebody, "auth.logout")) == 1
    unknown = {"refresh_token": f"eur_{tenant.slug}_unknown"}
    assert (await api.post("/auth/logout", json=unknown)).status_code == 204


async def test_a_deactivated_user_can_neither_refresh_nor_log_in(api: Api, tenant: Tenant) -> None:
    owner, somebody = await api.as_(Role.OWNER, tenant), await person(api, tenant)
    login = await somebody.log_in()
    assert (await owner.send("DELETE", f"./users/{somebody.account.id}")).status_code == 204
    await login.assert_ended()
    body = {"tenant": tenant.slug, "email": somebody.account.email, "password": PASSWORD}
    problem_of(await api.post("/auth/login", json=body), 401, "wrong-credentials")


async def test_a_changed_role_takes_effect_with_the_next_access_token(api: Api, tenant: Tenant) -> None:
    owner, somebody = await api.as_(Role.OWNER, tenant), await person(api, tenant)
    login = await somebody.log_in()
    assert (await login.caller.get("/auth/me")).status_code == 200
    path = f"./users/{somebody.account.id}"
    assert (await owner.send("PATCH", path, json={"role": "ADMIN"})).status_code == 200
    problem_of(await login.caller.get("/auth/me"), 401)
    assert (await (await login.refreshed()).caller.get("./users")).status_code == 200


async def test_sessions_that_end_while_they_are_renewed_have_ended(api: Api, tenant: Tenant) -> None:
    for _ in range(5):
        somebody = await person(api, tenant)
        laptop, phone = await somebody.log_in(), await somebody.log_in()
        path = f"/auth/sessions/{await phone.id()}"
        ended, renewed = await asyncio.gather(laptop.caller.send("DELETE", path), phone.refresh())
        assert ended.status_code == 204
        if renewed.status_code == 200:
            phone = Login(somebody, renewed.json())
        await phone.assert_ended()


async def test_another_process_denies_an_ended_session_within_twenty_seconds(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = await person(api, tenant)
    login = await somebody.log_in()
    elsewhere = Standings(api.installation.pool)
    identity = api.services.tokens.verify(login.tokens["access_token"], datetime.now(UTC))
    await elsewhere.require_current(identity)
    assert (await login.caller.post("/auth/logout-everywhere")).status_code == 204
    await elsewhere.require_current(identity)  # remembered
    assert REMEMBERED_SECONDS <= 20
    monkeypatch.setattr("shell.standing.REMEMBERED_SECONDS", 0.0)
    with pytest.raises(NotAuthenticated):
        await elsewhere.require_current(identity)


async def test_an_api_key_has_no_sessions(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    key = (await owner.post("./api-keys", json={"name": "x", "scopes": ["usage:read"]})).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    problem_of(await api.get("/auth/sessions", headers=headers), 401)
    problem_of(await api.post("/auth/logout-everywhere", headers=headers), 401)
    problem_of(await api.http.delete(f"/api/v1/auth/sessions/{uuid4()}", headers=headers), 401)


async def test_a_session_ends_some_days_after_its_login_however_often_it_is_renewed(
    api: Api, tenant: Tenant
) -> None:
    login = await (await person(api, tenant)).log_in()
    age = f"UPDATE {tenant.schema}.sessions SET created_at = created_at - $1::interval"
    async with administrator(api.installation.admin_url) as admin:
        await admin.execute(age, timedelta(days=29))
        login = await login.refreshed()
        expiry = f"SELECT expires_at FROM {tenant.schema}.refresh_tokens WHERE used_at IS NULL"
        left = await admin.fetchval(expiry) - datetime.now(UTC)
        assert timedelta(hours=23) < left <= timedelta(days=1)
        shorten = f"UPDATE {tenant.schema}.refresh_tokens SET expires_at = expires_at - $1::interval"
        await admin.execute(shorten, left)
    problem_of(await login.refresh(), 401, "refresh-token-refused")


@pytest.mark.parametrize("change", [{"method": "PATCH", "json": {"role": Role.VIEWER}}, {"method": "DELETE"}])
async def test_another_process_denies_who_was_changed_within_twenty_seconds(
    api: Api, tenant: Tenant, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await (await person(api, tenant)).log_in()
    elsewhere = Standings(api.installation.pool)
    identity = api.services.tokens.verify(login.tokens["access_token"], datetime.now(UTC))
    await elsewhere.require_current(identity)
    owner = await api.as_(Role.OWNER, tenant)
    changed = await owner.send(path=f"./users/{identity.user_id}", **change)
    assert changed.status_code in {200, 204}
    monkeypatch.setattr("shell.standing.REMEMBERED_SECONDS", 0.0)
    with pytest.raises(NotAuthenticated):
        await elsewhere.require_current(identity)
