"""Second factors over HTTP: enrolment, login, step-up, and what an operator may do without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pyotp
import pytest
import pytest_asyncio
from pyotp.totp import TOTP

from core.audit import Outcome
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant
from tests.fixtures import BASE_URL
from tests.installation import Installation, account_session, add_account, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of, running
from web.app import application
from web.services import services_of
from web.telemetry import Telemetry

OWN_PASSWORD = {"password": PASSWORD}


class Person(msgspec.Struct, frozen=True):
    """An account that can log in, with a second factor."""

    account: Account
    tenant: Tenant | None
    totp: TOTP
    recovery_codes: list[str]

    def code(self, steps: int = 0) -> str:
        """The code of this moment, or of some steps later."""
        return self.totp.at(datetime.now(UTC) + timedelta(seconds=30 * steps))

    def login(self, **more: str) -> dict[str, str]:
        slug = "platform" if self.tenant is None else self.tenant.slug
        return {"tenant": slug, "email": self.account.email, "password": PASSWORD, **more}


async def person(api: Api, tenant: Tenant | None, role: Role = Role.OWNER) -> Person:
    """A person whose factor was confirmed some minutes ago, so that no code of now is used up."""
    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, tenant, role, phc=phc)
    then, factors = datetime.now(UTC) - timedelta(minutes=5), api.services.second_factors
    async with account_session(api.installation, tenant) as session:
        totp = TOTP((await factors.enrol(session, account)).secret)
        codes = await factors.confirm(session, account.id, totp.at(then), now=then)
    assert codes is not None
    return Person(account, tenant, totp, codes)


async def logged_in(api: Api, someone: Person, code: str) -> tuple[Caller, dict[str, Any]]:
    answer = await api.post("/auth/login", json=someone.login(totp=code))
    assert answer.status_code == httpx.codes.OK, answer.text
    tokens: dict[str, Any] = answer.json()
    return Caller(api.http, tokens["access_token"], someone.account, someone.tenant), tokens


async def audited(api: Api, account: Account) -> list[tuple[object, object]]:
    """What was audited of an account, without its logins."""
    found = await rows(
        api.installation,
        "SELECT action, outcome FROM public.audit_log"
        " WHERE subject = $1 AND action <> 'auth.login' ORDER BY occurred_at",
        f"user:{account.id}",
    )
    return [(row["action"], row["outcome"]) for row in found]


async def test_a_factor_is_enrolled_confirmed_and_then_asked_for(api: Api, tenant: Tenant) -> None:
    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, tenant, Role.VIEWER, phc=phc)
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    enrolled = (await caller.post("/auth/totp", json=OWN_PASSWORD)).json()
    uri = pyotp.parse_uri(enrolled["otpauth_uri"])
    assert isinstance(uri, TOTP)
    assert (uri.secret, uri.name, uri.issuer) == (enrolled["secret"], account.email, "eu-platform")

    problem_of(await caller.post("/auth/totp/confirm", json={"code": "abcdef"}), 401, "second-factor-wrong")
    someone = Person(account, tenant, uri, [])
    assert (await api.post("/auth/login", json=someone.login())).status_code == httpx.codes.OK
    answer = await caller.post("/auth/totp/confirm", json={"code": someone.code()})
    assert answer.status_code == httpx.codes.OK
    assert len(answer.json()["recovery_codes"]) == 10

    problem_of(await api.post("/auth/login", json=someone.login()), 401, "second-factor-required")
    problem_of(await caller.post("/auth/totp", json=OWN_PASSWORD), 409, "second-factor-exists")
    problem_of(await caller.post("/auth/totp/confirm", json={"code": "000000"}), 409, "second-factor-exists")
    assert (await caller.get("/auth/me")).json()["user"]["has_second_factor"] is True
    assert await audited(api, account) == [
        ("auth.totp_enrolled", Outcome.SUCCESS),
        ("auth.second_factor_failed", Outcome.DENIED),
        ("auth.totp_confirmed", Outcome.SUCCESS),
    ]


async def test_a_stolen_access_token_is_not_enough_to_enrol_a_factor(api: Api, tenant: Tenant) -> None:
    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, tenant, Role.OWNER, phc=phc)
    thief = Caller(api.http, api.token(account, tenant), account, tenant)
    problem_of(await thief.post("/auth/totp"), 422)
    problem_of(await thief.post("/auth/totp", json={}), 422)
    wrong = await thief.post("/auth/totp", json={"password": "a guess of a thief"})
    problem_of(wrong, 401, "wrong-credentials")
    assert await audited(api, account) == [("auth.totp_enrolled", Outcome.DENIED)]
    answer = await thief.post("/auth/totp/confirm", json={"code": "000000"})
    problem_of(answer, 401, "second-factor-wrong")


async def test_confirming_a_factor_ends_the_accounts_other_sessions(api: Api, tenant: Tenant) -> None:
    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, tenant, Role.VIEWER, phc=phc)
    someone = Person(account, tenant, TOTP("A" * 32), [])
    other = (await api.post("/auth/login", json=someone.login())).json()
    caller = Caller(api.http, api.token(account, tenant), account, tenant)
    totp = TOTP((await caller.post("/auth/totp", json=OWN_PASSWORD)).json()["secret"])
    await caller.post("/auth/totp/confirm", json={"code": totp.now()})
    refused = await api.post("/auth/refresh", json={"refresh_token": other["refresh_token"]})
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    other_caller = Caller(api.http, other["access_token"], account, tenant)
    assert (await other_caller.get("/auth/me")).status_code == httpx.codes.UNAUTHORIZED
    assert (await caller.get("/auth/me")).status_code == httpx.codes.OK


async def test_a_login_takes_a_code_once(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    await logged_in(api, someone, someone.code())
    again = await api.post("/auth/login", json=someone.login(totp=someone.code()))
    problem_of(again, 401, "second-factor-wrong")
    assert await audited(api, someone.account) == [("auth.second_factor_failed", Outcome.DENIED)]


async def test_of_many_logins_with_one_code_one_wins(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    body = someone.login(totp=someone.code(1))
    answers = await asyncio.gather(*[api.post("/auth/login", json=body) for _ in range(4)])
    winner, *others = sorted(answer.status_code for answer in answers)
    assert winner == 200
    assert set(others) <= {401, 429}, "wrong, or asked to wait"


async def test_a_login_takes_a_recovery_code_once(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    await logged_in(api, someone, someone.recovery_codes[0])
    again = await api.post("/auth/login", json=someone.login(totp=someone.recovery_codes[0]))
    problem_of(again, 401, "second-factor-wrong")
    assert await audited(api, someone.account) == [
        ("auth.recovery_code_used", Outcome.SUCCESS),
        ("auth.second_factor_failed", Outcome.DENIED),
    ]


async def test_a_wrong_password_does_not_tell_who_has_a_second_factor(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    code = someone.code()
    for more in ({}, {"totp": code}, {"totp": "000000"}):
        body = someone.login(**more) | {"password": "wrong password"}
        problem_of(await api.post("/auth/login", json=body), 401, "wrong-credentials")
    await logged_in(api, someone, code)


async def test_a_login_with_a_code_counts_as_stepped_up_and_so_do_its_later_tokens(
    api: Api, tenant: Tenant
) -> None:
    someone = await person(api, tenant)
    _, tokens = await logged_in(api, someone, someone.code())
    refreshed = (await api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    caller = Caller(api.http, refreshed["access_token"], someone.account, tenant)
    answer = await caller.send("DELETE", f"./?confirm={tenant.slug}")
    assert answer.status_code == httpx.codes.ACCEPTED


async def test_deleting_a_tenant_asks_an_account_with_a_factor_to_step_up(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    caller = Caller(api.http, api.token(someone.account, tenant), someone.account, tenant)
    path = f"./?confirm={tenant.slug}"
    problem_of(await caller.send("DELETE", path), 403, "step-up-required")
    problem_of(await caller.post("/auth/step-up", json={"code": "000000x"}), 401, "second-factor-wrong")
    answer = await caller.post("/auth/step-up", json={"code": someone.code()})
    assert answer.status_code == httpx.codes.OK
    stepped_up = Caller(api.http, answer.json()["access_token"], someone.account, tenant)
    assert (await stepped_up.send("DELETE", path)).status_code == httpx.codes.ACCEPTED


async def test_a_step_up_of_long_ago_does_not_count(api: Api, tenant: Tenant) -> None:
    someone = await person(api, tenant)
    now = datetime.now(UTC)
    token = api.services.tokens.issue(
        someone.account,
        tenant,
        now,
        session_id=someone.account.id,
        second_factor_at=now - timedelta(minutes=11),
    )
    caller = Caller(api.http, token, someone.account, tenant)
    problem_of(await caller.send("DELETE", f"./?confirm={tenant.slug}"), 403, "step-up-required")


async def test_deleting_a_tenant_asks_nothing_more_of_an_account_without_a_factor(
    api: Api, tenant: Tenant
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    problem_of(await owner.post("/auth/step-up", json={"code": "000000"}), 409, "second-factor-missing")
    assert (await owner.send("DELETE", f"./?confirm={tenant.slug}")).status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize("with_recovery_code", [False, True])
async def test_a_factor_is_disabled_with_a_code(api: Api, tenant: Tenant, with_recovery_code: bool) -> None:
    someone = await person(api, tenant)
    caller = Caller(api.http, api.token(someone.account, tenant), someone.account, tenant)
    refused = await caller.send("DELETE", "/auth/totp", json={"code": "000000x"})
    problem_of(refused, 401, "second-factor-wrong")
    code = someone.recovery_codes[3] if with_recovery_code else someone.code()
    answer = await caller.send("DELETE", "/auth/totp", json={"code": code})
    assert answer.status_code == httpx.codes.NO_CONTENT
    assert (await api.post("/auth/login", json=someone.login())).status_code == httpx.codes.OK
    again = await caller.send("DELETE", "/auth/totp", json={"code": "000000"})
    problem_of(again, 409, "second-factor-missing")
    assert (await audited(api, someone.account))[-1] == ("auth.totp_disabled", Outcome.SUCCESS)


async def test_an_operator_has_a_second_factor_like_anybody(api: Api) -> None:
    someone = await person(api, None, Role.OPERATOR)
    problem_of(await api.post("/auth/login", json=someone.login()), 401, "second-factor-required")
    caller, _ = await logged_in(api, someone, someone.code())
    assert (await caller.get("/tenants")).status_code == httpx.codes.OK


async def test_without_a_token_no_factor_can_be_touched(api: Api) -> None:
    code = {"code": "000000"}
    for method, path in [
        ("POST", "/auth/totp"),
        ("POST", "/auth/totp/confirm"),
        ("DELETE", "/auth/totp"),
        ("POST", "/auth/step-up"),
    ]:
        problem_of(await api.http.request(method, f"/api/v1{path}", json=code), 401, "not-authenticated")


@asynccontextmanager
async def api_with(installation: Installation, **changes: Any) -> AsyncIterator[Api]:
    """An API with other settings."""
    settings = msgspec.structs.replace(installation.settings, owner_database_url=None, **changes)
    app = application(settings)
    asgi: Any = Telemetry(app)  # Litestar's types of ASGI are narrower than httpx's
    transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL, trust_env=False) as http,
    ):
        yield Api(http, services_of(app.state), installation)


async def test_who_guesses_codes_has_to_wait(installation: Installation, tenant: Tenant) -> None:
    async with api_with(installation, login_free_failures=2) as api:
        someone = await person(api, tenant)
        caller = Caller(api.http, api.token(someone.account, tenant), someone.account, tenant)
        answers = [
            await caller.send(method, path, json={"code": "000000x"})
            for method, path in [("POST", "/auth/step-up"), ("DELETE", "/auth/totp")] * 4
        ]
        assert [answer.status_code for answer in answers[:3]] == [httpx.codes.UNAUTHORIZED] * 3
        assert httpx.codes.TOO_MANY_REQUESTS in {answer.status_code for answer in answers}


@pytest_asyncio.fixture
async def strict_api(installation: Installation) -> AsyncIterator[Api]:
    """An API that demands a second factor of operators."""
    async with api_with(installation, require_operator_totp=True) as api:
        yield api


async def test_an_operator_may_only_enrol_where_a_factor_is_required(strict_api: Api) -> None:
    phc = await strict_api.services.passwords.hash(PASSWORD)
    account = await add_account(strict_api.installation, None, Role.OPERATOR, phc=phc)
    operator = Caller(strict_api.http, strict_api.token(account, None), account, None)
    for method, path in [("GET", "/tenants"), ("POST", "/tenants"), ("DELETE", "/auth/totp")]:
        answer = await operator.send(method, path, json={"code": "000000"})
        problem_of(answer, 403, "enrolment-required")
    totp = TOTP((await operator.post("/auth/totp", json=OWN_PASSWORD)).json()["secret"])
    problem_of(await operator.get("/tenants"), 403, "enrolment-required")
    confirmed = await operator.post("/auth/totp/confirm", json={"code": totp.now()})
    assert confirmed.status_code == httpx.codes.OK
    assert (await operator.get("/tenants")).status_code == httpx.codes.OK


async def test_auditors_need_a_factor_as_operators_do_and_others_do_not(
    strict_api: Api, tenant: Tenant
) -> None:
    auditor = await strict_api.as_(Role.AUDITOR)
    problem_of(await auditor.get("/tenants"), 403, "enrolment-required")
    owner = await strict_api.as_(Role.OWNER, tenant)
    assert (await owner.get("./")).status_code == httpx.codes.OK


async def test_a_tenant_that_demands_a_factor_lets_its_people_only_enrol(api: Api, tenant: Tenant) -> None:
    owner = await person(api, tenant)
    boss, _ = await logged_in(api, owner, owner.code())
    demanded = await boss.send("PATCH", "./", json={"require_second_factor": True})
    assert demanded.json()["require_second_factor"] is True

    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, tenant, Role.MEMBER, phc=phc)
    member = Caller(api.http, api.token(account, tenant), account, tenant)
    problem_of(await member.get("./usage"), 403, "enrolment-required")
    totp = TOTP((await member.post("/auth/totp", json=OWN_PASSWORD)).json()["secret"])
    problem_of(await member.get("./usage"), 403, "enrolment-required")
    assert (await member.post("/auth/totp/confirm", json={"code": totp.now()})).status_code == httpx.codes.OK
    assert (await member.get("./usage")).status_code == httpx.codes.OK
    assert (await boss.get("./usage")).status_code == httpx.codes.OK


async def test_only_an_owner_who_has_stepped_up_decides_who_needs_a_factor(api: Api, tenant: Tenant) -> None:
    admin = await api.as_(Role.ADMIN, tenant)
    change = {"require_second_factor": False}
    problem_of(await admin.send("PATCH", "./", json=change), 403, "not-permitted")
    owner = await person(api, tenant)
    caller = Caller(api.http, api.token(owner.account, tenant), owner.account, tenant)
    problem_of(await caller.send("PATCH", "./", json=change), 403, "step-up-required")
    assert (await caller.send("PATCH", "./", json={"name": "Acme"})).status_code == httpx.codes.OK
