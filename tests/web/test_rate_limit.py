"""Limits over HTTP: of logins and registrations, and of an API's callers, with Redis and without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from core.permission import Role
from core.tenant import Tenant
from shell.passwords import Passwords
from shell.settings import Secret
from tests.installation import Installation, add_account, rows
from tests.web.client import PASSWORD, Api, problem_of, running
from web.app import application, served
from web.services import services_of

NOWHERE = Secret("unix:///nowhere/redis.socket")


@asynccontextmanager
async def limited(installation: Installation, **settings: Any) -> AsyncIterator[Api]:
    """An API with limits of its own, whose callers' addresses nobody else has."""
    chosen = msgspec.structs.replace(
        installation.settings,
        **(
            {"owner_database_url": None, "login_free_failures": 4, "secret_key": Secret(uuid4().hex)}
            | settings
        ),
    )
    app = application(chosen)
    asgi: Any = served(app, chosen)
    transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://platform.test", trust_env=False) as http,
    ):
        yield Api(http, services_of(app.state), installation)


async def log_in(api: Api, tenant: Tenant, email: str, password: str = PASSWORD) -> httpx.Response:
    return await api.post("/auth/login", json={"tenant": tenant.slug, "email": email, "password": password})


async def account_with_password(installation: Installation, tenant: Tenant) -> str:
    phc = await Passwords(installation.settings).hash(PASSWORD)
    return (await add_account(installation, tenant, Role.MEMBER, phc=phc)).email


@pytest.mark.parametrize("redis", [{}, {"redis_url": NOWHERE}], ids=["redis", "no redis"])
async def test_guessing_at_an_account_is_slowed_down(
    installation: Installation, tenant: Tenant, redis: dict[str, Any]
) -> None:
    email = await account_with_password(installation, tenant)
    async with limited(installation, **redis) as api:
        for _ in range(5):
            problem_of(await log_in(api, tenant, email, "wrong password 1"), 401, "wrong-credentials")
        refused = await log_in(api, tenant, email)
        problem_of(refused, 429, "too-many-requests")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit-policy"] == '"login";q=5;w=900'
        assert refused.headers["ratelimit"] == '"login";r=0;t=1'


async def test_a_throttled_login_is_audited_once_with_whom_from_where_and_what(
    installation: Installation, tenant: Tenant
) -> None:
    email = await account_with_password(installation, tenant)
    async with limited(installation) as api:
        for _ in range(5):
            await log_in(api, tenant, email, "wrong password 1")
        for _ in range(10):
            problem_of(await log_in(api, tenant, email), 429, "too-many-requests")
    [user] = await rows(installation, f"SELECT id FROM {tenant.schema}.users WHERE email = $1", email)
    entries = await rows(
        installation,
        "SELECT subject, outcome, address, details::text FROM public.audit_log"
        " WHERE action = 'auth.throttled' AND subject = $1",
        f"user:{user['id']}",
    )
    [entry] = entries
    assert (entry["outcome"], entry["address"]) == ("denied", "127.0.0.1")
    assert "account" in str(entry["details"])
    assert email not in str(entry)


async def test_an_unknown_account_is_slowed_down_alike(installation: Installation, tenant: Tenant) -> None:
    async with limited(installation) as api:
        answers = [await log_in(api, tenant, "nobody@example.com") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_the_case_of_an_address_makes_no_new_account(
    installation: Installation, tenant: Tenant
) -> None:
    async with limited(installation) as api:
        emails = ["a@example.com", "A@example.com", "a@EXAMPLE.com", " a@example.com", "a@example.COM"]
        for email in emails:
            await log_in(api, tenant, email)
        problem_of(await log_in(api, tenant, "a@example.com"), 429)


@pytest.mark.parametrize("redis", [{}, {"redis_url": NOWHERE}], ids=["redis", "no redis"])
async def test_a_success_clears_the_failures(
    installation: Installation, tenant: Tenant, redis: dict[str, Any]
) -> None:
    email = await account_with_password(installation, tenant)
    async with limited(installation, **redis) as api:
        for _ in range(3):
            for _ in range(4):
                assert (await log_in(api, tenant, email, "wrong password 1")).status_code == 401
            assert (await log_in(api, tenant, email)).status_code == 200


async def test_an_address_is_slowed_down_over_all_accounts(
    installation: Installation, tenant: Tenant
) -> None:
    async with limited(installation, address_free_failures=3) as api:
        answers = [await log_in(api, tenant, f"user{index}@example.com") for index in range(5)]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429]


async def test_guessing_at_refresh_tokens_is_slowed_down(installation: Installation) -> None:
    async with limited(installation, address_free_failures=3) as api:
        answers = [
            await api.post("/auth/refresh", json={"refresh_token": f"eur_nobody_{guess}"})
            for guess in range(5)
        ]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429]
    problem_of(answers[-1], 429)


async def test_what_is_no_guess_does_not_count(installation: Installation, tenant: Tenant) -> None:
    async with limited(installation) as api:
        for _ in range(10):
            answer = await api.post("/auth/login", json={"email": "a@example.com", "password": "x"})
            assert answer.status_code == 422
        assert (await log_in(api, tenant, "a@example.com")).status_code == 401


async def test_registrations_from_an_address_are_slowed_down(
    installation: Installation, tenant: Tenant
) -> None:
    async with limited(installation, address_free_registrations=2) as api:
        statuses = []
        for index in range(4):
            body = {
                "organisation": {"name": "Acme", "slug": tenant.slug, "country": "DE"},  # taken
                "email": f"ada{index}@example.com",
                "password": "an unusual phrase of words",
                "full_name": "Ada",
            }
            statuses.append((await api.post("/auth/register", json=body)).status_code)
    assert statuses[-1] == 429
    assert 429 not in statuses[:-1]


async def test_a_tenant_beyond_its_limit_is_refused_and_others_are_not(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    async with limited(installation, tenant_requests_per_second=1, tenant_burst=3) as api:
        caller, other = await api.as_(Role.OWNER, tenant), await api.as_(Role.OWNER, other_tenant)
        answers = [await caller.get("./costs/current") for _ in range(6)]
        assert 200 in {answer.status_code for answer in answers}
        refused = answers[-1]
        problem_of(refused, 429, "too-many-requests")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit-policy"] == '"tenant";q=3;w=3'
        assert refused.headers["ratelimit"] == '"tenant";r=0;t=1'
        assert (await other.get("./costs/current")).status_code == 200


async def test_the_tier_that_an_operator_gives_a_tenant_limits_its_people_and_keys(
    installation: Installation, tenant: Tenant
) -> None:
    async with limited(installation, tiers=("tiny=1/3",)) as api:
        operator, path = await api.operator(), f"/tenants/{tenant.id}"
        key = await operator.post(f"{path}/api-keys", json={"name": "meter", "scopes": ["costs:read"]})
        assert (await operator.send("PATCH", path, json={"tier": "tiny"})).json()["tier"] == "tiny"
        owner = await api.as_(Role.OWNER, tenant)
        for token in (owner.token, key.json()["key"]):
            caller = msgspec.structs.replace(owner, token=token)
            answers = [await caller.get("./costs/current") for _ in range(6)]
            problem_of(answers[-1], 429, "too-many-requests")
            assert '"tenant";q=3;w=3' in answers[-1].headers["ratelimit-policy"] or token != owner.token


async def test_without_redis_the_api_goes_on(installation: Installation, tenant: Tenant) -> None:
    async with limited(installation, redis_url=NOWHERE) as api:
        caller = await api.as_(Role.OWNER, tenant)
        for _ in range(50):
            assert (await caller.get("./costs/current")).status_code == 200
