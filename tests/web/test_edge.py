"""The edge: headers, CORS, forwarded addresses, and the limit of time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Stream

from core.permission import Role
from core.tenant import Tenant
from shell.passwords import Passwords
from shell.session import platform_session
from shell.settings import Secret
from tests.installation import Installation, add_account, rows
from tests.web.client import PASSWORD, Api, problem_of, running
from web.app import application, served
from web.services import Services, services_of

ORIGIN = "https://app.example.com"
PROXY = "10.0.0.1"
CSP = "default-src 'none'; frame-ancestors 'none'"


@asynccontextmanager
async def edged(
    installation: Installation, *, peer: str = "203.0.113.9", handlers: Sequence[Any] = (), **settings: Any
) -> AsyncIterator[Api]:
    """An API with settings of its own, asked by a peer."""
    alone = {"owner_database_url": None, "secret_key": Secret(uuid4().hex)}
    chosen = msgspec.structs.replace(installation.settings, **(alone | settings))
    app = application(chosen)
    for handler in handlers:
        app.register(handler)
    asgi: Any = served(app, chosen)
    transport = httpx.ASGITransport(asgi, raise_app_exceptions=False, client=(peer, 4711))
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://platform.test", trust_env=False) as http,
    ):
        yield Api(http, services_of(app.state), installation)


# --- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/v1/auth/me", "/api/v1/nothing", "/health/live", "/nothing", "/metrics"]
)
async def test_every_answer_is_kept_from_sniffing_caches_and_frames(api: Api, path: str) -> None:
    headers = (await api.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == CSP
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in headers
    assert "access-control-allow-origin" not in headers


async def test_answers_with_tokens_and_personal_data_are_not_kept(api: Api, tenant: Tenant) -> None:
    caller = await api.as_(Role.OWNER, tenant)
    answer = await caller.get("/auth/me")
    assert answer.status_code == 200
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers["ratelimit-policy"] == '"tenant";q=2000;w=4'
    assert answer.headers["ratelimit"].startswith('"tenant";r=19')


async def test_an_answer_may_have_a_policy_of_its_own(api: Api) -> None:
    page = await api.http.get("/docs")
    assert page.headers.get_list("content-security-policy") != [CSP]
    assert len(page.headers.get_list("content-security-policy")) == 1
    assert page.headers.get_list("x-content-type-options") == ["nosniff"]
    keys = await api.http.get("/.well-known/jwks.json")
    assert keys.headers.get_list("cache-control")[0].startswith("public")


async def test_behind_tls_browsers_are_told_to_stay_there(installation: Installation) -> None:
    async with edged(installation, tls=True) as api:
        headers = (await api.get("/auth/me")).headers
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


@pytest.mark.parametrize(
    ("peer", "proto", "is_told"),
    [
        (PROXY, "https", True),
        (PROXY, "http", False),
        (PROXY, "https, http", False),
        (PROXY, None, False),
        ("203.0.113.9", "https", False),  # forged
    ],
)
async def test_only_a_trusted_proxy_says_that_a_request_came_over_tls(
    installation: Installation, peer: str, proto: str | None, *, is_told: bool
) -> None:
    async with edged(installation, peer=peer, tls=True, trusted_proxies=("10.0.0.0/8",)) as api:
        headers = {} if proto is None else {"X-Forwarded-Proto": proto}
        answer = await api.get("/auth/me", headers=headers)
    assert ("strict-transport-security" in answer.headers) is is_told


# --- CORS ------------------------------------------------------------------------------------------


def preflight(
    origin: str, method: str = "POST", headers: str = "authorization, content-type"
) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


async def test_a_page_of_a_named_origin_may_call_the_api(installation: Installation, tenant: Tenant) -> None:
    async with edged(installation, cors_origins=(ORIGIN,)) as api:
        path = f"/api/v1/tenants/{tenant.id}/usage"
        asked = await api.http.request("OPTIONS", path, headers=preflight(ORIGIN))
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in asked.headers
        refused = await api.http.post(path, json=[], headers={"Origin": ORIGIN})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in refused.headers["vary"]
        assert "Retry-After" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://appxexample.com",
        "null",
    ],
)
async def test_a_page_of_any_other_origin_may_not(installation: Installation, origin: str) -> None:
    async with edged(installation, cors_origins=(ORIGIN,)) as api:
        asked = await api.http.request("OPTIONS", "/api/v1/auth/login", headers=preflight(origin))
        assert asked.status_code == 400
        assert "access-control-allow-origin" not in asked.headers
        answer = await api.get("/auth/me", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


async def test_by_default_no_foreign_page_may(api: Api) -> None:
    asked = await api.http.request("OPTIONS", "/api/v1/auth/login", headers=preflight(ORIGIN))
    assert "access-control-allow-origin" not in asked.headers


# --- addresses -------------------------------------------------------------------------------------


async def log_in(api: Api, tenant: Tenant, email: str, password: str, *forwarded: str) -> httpx.Response:
    body = {"tenant": tenant.slug, "email": email, "password": password}
    headers = [("X-Forwarded-For", value) for value in forwarded]
    return await api.post("/auth/login", json=body, headers=headers)


async def last_address(installation: Installation, tenant: Tenant) -> object:
    found = await rows(installation, f"SELECT address FROM {tenant.schema}.sessions WHERE device <> 'test'")
    return found[-1]["address"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        (PROXY, ["198.51.100.4"], "198.51.100.4"),
        (PROXY, ["6.6.6.6, 198.51.100.4, 10.0.0.2"], "198.51.100.4"),
        (PROXY, ["6.6.6.6", "198.51.100.4"], "198.51.100.4"),
    ],
)
async def test_a_session_keeps_the_address_that_trusted_proxies_saw(
    installation: Installation, tenant: Tenant, peer: str, forwarded: list[str], expected: str
) -> None:
    phc = await Passwords(installation.settings).hash(PASSWORD)
    account = await add_account(installation, tenant, Role.MEMBER, phc=phc)
    async with edged(installation, peer=peer, trusted_proxies=("10.0.0.0/8",)) as api:
        answer = await log_in(api, tenant, account.email, PASSWORD, *forwarded)
    assert answer.status_code == 200
    assert str(await last_address(installation, tenant)).removesuffix("/32") == expected


@pytest.mark.parametrize("peer", ["203.0.113.9", PROXY])
async def test_a_forged_header_escapes_no_limit(
    installation: Installation, tenant: Tenant, peer: str
) -> None:
    async with edged(
        installation, peer=peer, trusted_proxies=("10.0.0.0/8",), address_free_failures=3
    ) as api:
        statuses = []
        for index in range(5):
            # What a proxy does: it appends whom it heard from to what the client wrote.
            forwarded = f"6.6.6.{index}, 198.51.100.4" if peer == PROXY else f"6.6.6.{index}"
            answer = await log_in(api, tenant, f"user{index}@example.com", "wrong password", forwarded)
            statuses.append(answer.status_code)
    assert statuses == [401] * 4 + [429]


async def test_clients_behind_one_proxy_have_limits_of_their_own(
    installation: Installation, tenant: Tenant
) -> None:
    async with edged(
        installation, peer=PROXY, trusted_proxies=("10.0.0.0/8",), address_free_failures=0
    ) as api:
        for index in range(5):
            email, address = f"user{index}@example.com", f"198.51.100.{index}"
            assert (await log_in(api, tenant, email, "wrong password", address)).status_code == 401


# --- sizes and times -------------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    answer = await api.post(
        "/auth/login", content=b"x" * 70_000, headers={"Content-Type": "application/json"}
    )
    problem_of(answer, 413, "body-too-large")


@post("/slow")
async def slow(services: NamedDependency[Services]) -> None:
    """Write something, and then take too long."""
    async with platform_session(services.pool) as session:
        await session.connection.execute(
            "INSERT INTO idempotency_keys (caller, key, request_hash, created_at)"
            " VALUES ('slow', 'k', '', now())"
        )
        await session.connection.execute("SELECT pg_sleep(20)")


async def test_a_request_that_takes_too_long_is_rolled_back(installation: Installation) -> None:
    async with edged(installation, handlers=[slow], request_seconds=1, pool_size=2) as api:
        answers = await asyncio.gather(*(api.http.post("/slow") for _ in range(2)))
        for answer in answers:
            problem_of(answer, 503, "timed-out")
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["x-content-type-options"] == "nosniff"
        # Both connections of the pool are good again, and outside any transaction.
        pool = api.services.pool
        async with pool.acquire() as one, pool.acquire() as two:
            for connection in (one, two):
                assert not connection.is_in_transaction()
                assert await connection.fetchval("SELECT current_user = session_user")
    assert not await rows(installation, "SELECT 1 FROM idempotency_keys WHERE caller = 'slow'")
    assert not await rows(
        installation,
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)'"
        " AND state = 'active' AND pid <> pg_backend_pid()",
    )


@post("/echo")
async def echo(request: Request[Any, Any, Any]) -> int:
    """Read the whole body."""
    return len(await request.body())


async def test_a_body_that_trickles_in_is_refused(installation: Installation) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.sleep(20)
        yield b"]"

    async with edged(installation, handlers=[echo], request_seconds=1) as api:
        problem_of(await api.http.post("/echo", content=trickle()), 408, "body-too-slow")


@get("/long")
async def long() -> Stream:
    """An answer that begins at once and takes longer than a request may."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await asyncio.sleep(1.5)
        yield b"two"

    return Stream(parts())


async def test_an_answer_that_has_begun_may_take_its_time(installation: Installation) -> None:
    async with edged(installation, handlers=[long], request_seconds=1) as api:
        assert (await api.http.get("/long")).text == "one two"
