"""Passwords over HTTP: chosen, changed, lost and set anew."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from core.identity import Account
from core.permission import Role
from core.tenant import PLATFORM_SLUG, Tenant
from shell import password_reset
from tests.installation import account_session, add_account, new_slug, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of

NEW = "seven quiet rivers, no bridge"


async def person(api: Api, tenant: Tenant | None, role: Role = Role.MEMBER) -> Account:
    """An account that can log in."""
    phc = await api.services.passwords.hash(PASSWORD)
    return await add_account(api.installation, tenant, role, phc=phc)


async def login(
    api: Api, account: Account, tenant: Tenant | None, password: str = PASSWORD
) -> httpx.Response:
    slug = PLATFORM_SLUG if tenant is None else tenant.slug
    body = {"tenant": slug, "email": account.email, "password": password}
    return await api.post("/auth/login", json=body)


async def token_for(
    api: Api, account: Account, tenant: Tenant | None, *, age: timedelta = timedelta(0)
) -> str:
    """A reset token, as it would have been mailed some time ago."""
    slug = PLATFORM_SLUG if tenant is None else tenant.slug
    async with account_session(api.installation, tenant) as session:
        return await password_reset.begin(session, account, slug=slug, now=datetime.now(UTC) - age)


async def audited(api: Api, account: Account) -> list[tuple[object, object]]:
    """What was audited of an account, without its logins."""
    found = await rows(
        api.installation,
        "SELECT action, outcome FROM public.audit_log"
        " WHERE subject = $1 AND action <> 'auth.login' ORDER BY occurred_at",
        f"user:{account.id}",
    )
    return [(row["action"], row["outcome"]) for row in found]


@pytest.mark.parametrize("password", ["password1234", "AcmeCloud-2026", "ada-lovelace"])
async def test_a_guessable_password_founds_no_organisation(api: Api, password: str) -> None:
    body = {
        "organisation": {"name": "Acme Cloud", "slug": new_slug("acme"), "country": "DE"},
        "email": "ada.lovelace@example.com",
        "full_name": "Ada Lovelace",
        "password": password,
    }
    problem_of(await api.post("/auth/register", json=body), 422, "password-too-common")
    assert not await rows(
        api.installation,
        "SELECT id FROM public.tenants WHERE slug = $1",
        body["organisation"]["slug"],  # type: ignore[index]  # the nested object
    )


async def test_a_password_is_changed_and_the_other_sessions_end(api: Api, tenant: Tenant) -> None:
    account = await person(api, tenant)
    other = (await login(api, account, tenant)).json()
    own = (await login(api, account, tenant)).json()
    caller = Caller(api.http, own["access_token"], account, tenant)
    token = await token_for(api, account, tenant)
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await caller.post("/auth/password", json=body)).status_code == httpx.codes.NO_CONTENT

    problem_of(await login(api, account, tenant), 401, "wrong-credentials")
    assert (await login(api, account, tenant, NEW)).status_code == httpx.codes.OK
    assert (await caller.get("/auth/me")).status_code == httpx.codes.OK
    refreshed = await api.post("/auth/refresh", json={"refresh_token": own["refresh_token"]})
    assert refreshed.status_code == httpx.codes.OK
    refused = await api.post("/auth/refresh", json={"refresh_token": other["refresh_token"]})
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    elsewhere = Caller(api.http, other["access_token"], account, tenant)
    assert (await elsewhere.get("/auth/me")).status_code == httpx.codes.UNAUTHORIZED
    stale = await api.post("/auth/password-reset/confirm", json={"token": token, "new_password": NEW})
    problem_of(stale, 422, "reset-refused")
    assert ("auth.password_changed", "success") in await audited(api, account)


async def test_a_password_is_not_changed_without_the_current_one(api: Api, tenant: Tenant) -> None:
    account = await person(api, tenant)
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    body = {"current_password": "wrong password", "new_password": NEW}
    problem_of(await caller.post("/auth/password", json=body), 401, "wrong-credentials")
    assert (await login(api, account, tenant)).status_code == httpx.codes.OK
    assert await audited(api, account) == [("auth.password_changed", "denied")]


@pytest.mark.parametrize(
    ("password", "kind"),
    [("password1234", "password-too-common"), ("short", "invalid-input"), ("x9" * 65, "invalid-input")],
)
async def test_a_weak_password_is_never_set(api: Api, tenant: Tenant, password: str, kind: str) -> None:
    account = await person(api, tenant)
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    body = {"current_password": PASSWORD, "new_password": password}
    problem_of(await caller.post("/auth/password", json=body), 422, kind)
    token = await token_for(api, account, tenant)
    confirm = {"token": token, "new_password": password}
    problem_of(await api.post("/auth/password-reset/confirm", json=confirm), 422, kind)
    again = await api.post("/auth/password-reset/confirm", json={"token": token, "new_password": NEW})
    assert again.status_code == httpx.codes.NO_CONTENT  # the token was not used up


async def test_of_many_simultaneous_changes_of_a_password_one_wins(api: Api, tenant: Tenant) -> None:
    account = await person(api, tenant)
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    bodies = [{"current_password": PASSWORD, "new_password": f"{NEW} {n}"} for n in range(5)]
    answers = await asyncio.gather(*[caller.post("/auth/password", json=body) for body in bodies])
    assert sorted(answer.status_code for answer in answers) == [204] + [401] * 4


@pytest.mark.parametrize("of_platform", [False, True])
async def test_a_lost_password_is_set_anew_once_and_all_sessions_end(
    api: Api, tenant: Tenant, of_platform: bool
) -> None:
    home, role = (None, Role.OPERATOR) if of_platform else (tenant, Role.MEMBER)
    account = await person(api, home, role)
    before = (await login(api, account, home)).json()
    token = await token_for(api, account, home)
    body = {"token": token, "new_password": NEW}
    answer = await api.post("/auth/password-reset/confirm", json=body)
    assert answer.status_code == httpx.codes.NO_CONTENT
    problem_of(await api.post("/auth/password-reset/confirm", json=body), 422, "reset-refused")
    problem_of(await login(api, account, home), 401, "wrong-credentials")
    assert (await login(api, account, home, NEW)).status_code == httpx.codes.OK
    refused = await api.post("/auth/refresh", json={"refresh_token": before["refresh_token"]})
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    caller = Caller(api.http, before["access_token"], account, home)
    assert (await caller.get("/auth/me")).status_code == httpx.codes.UNAUTHORIZED
    assert ("auth.password_reset", "success") in await audited(api, account)


async def test_of_many_simultaneous_uses_of_a_reset_token_one_wins(api: Api, tenant: Tenant) -> None:
    account = await person(api, tenant)
    token = await token_for(api, account, tenant)
    bodies = [{"token": token, "new_password": f"{NEW} {n}"} for n in range(8)]
    answers = await asyncio.gather(*[api.post("/auth/password-reset/confirm", json=body) for body in bodies])
    assert sorted(answer.status_code for answer in answers) == [204] + [422] * 7
    (winner,) = [n for n, answer in enumerate(answers) if answer.status_code == httpx.codes.NO_CONTENT]
    assert (await login(api, account, tenant, f"{NEW} {winner}")).status_code == httpx.codes.OK


async def test_no_other_token_sets_a_password(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    account = await person(api, tenant)
    expired = await token_for(api, account, tenant, age=timedelta(minutes=30))
    good = await token_for(api, account, tenant)
    random = good.removeprefix(f"epr_{tenant.slug}_")
    for token in (
        expired,
        f"epr_{other_tenant.slug}_{random}",
        f"epr_platform_{random}",
        f"epr_no-such-tenant_{random}",
        f"eur_{tenant.slug}_{random}",
        random,
        good[:-1],
        "x",
    ):
        answer = await api.post("/auth/password-reset/confirm", json={"token": token, "new_password": NEW})
        problem_of(answer, 422, "reset-refused")
    assert (await login(api, account, tenant)).status_code == httpx.codes.OK


async def test_a_request_for_a_reset_is_answered_alike_whoever_asks_for_whom(
    api: Api, tenant: Tenant
) -> None:
    account = await person(api, tenant)
    answers = [
        await api.post("/auth/password-reset", json={"tenant": slug, "email": email})
        for slug, email in [
            (tenant.slug, account.email),
            (tenant.slug, "nobody@example.com"),
            ("no-such-tenant", account.email),
            (PLATFORM_SLUG, account.email),
        ]
    ]
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    assert len({answer.text for answer in answers}) == 1


async def test_a_request_for_a_reset_ends_in_a_mail_and_its_job_is_nobodys_to_read(
    api: Api, tenant: Tenant
) -> None:
    account = await person(api, tenant)
    await api.post("/auth/password-reset", json={"tenant": tenant.slug, "email": f" {account.email.upper()}"})
    folder, token = api.installation.settings.mail_folder, ""
    for _ in range(200):
        mails = [file.read_text() for file in folder.glob("*.eml")] if folder.exists() else []
        found = [mail for mail in mails if f"To: {account.email}" in mail]
        if found:
            token = next(word for word in found[0].split() if word.startswith("epr_"))
            break
        await asyncio.sleep(0.05)
    body = {"token": token, "new_password": NEW}
    answer = await api.post("/auth/password-reset/confirm", json=body)
    assert answer.status_code == httpx.codes.NO_CONTENT
    operator = await api.operator()
    for row in await rows(api.installation, "SELECT id, args FROM public.jobs WHERE kind = 'reset_password'"):
        assert isinstance(row["id"], UUID)
        read = await operator.get(f"/tenants/{tenant.id}/jobs/{row['id']}")
        problem_of(read, 404, "not-found")


async def test_neither_address_nor_token_nor_password_is_logged(
    api: Api, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    account = await person(api, tenant)
    token = await token_for(api, account, tenant)
    await api.post("/auth/password-reset", json={"tenant": tenant.slug, "email": account.email})
    await api.post("/auth/password-reset/confirm", json={"token": token, "new_password": NEW})
    logged = capsys.readouterr().out
    assert "/api/v1/auth/password-reset/confirm" in logged
    for secret in (account.email, token, json.dumps(NEW)):
        assert secret not in logged
