"""Requests to the API, with or without an account's token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from core.identity import Account
from core.permission import Role
from core.tenant import Tenant
from tests.installation import Installation, add_account
from web.services import Services

PASSWORD = "correct horse battery staple"


class Api(msgspec.Struct, frozen=True):
    """The API of an installation, and a client of it."""

    http: httpx.AsyncClient
    services: Services
    installation: Installation

    def token(self, account: Account, tenant: Tenant | None) -> str:
        """An access token as logging in gives it."""
        return self.services.tokens.issue(account, tenant, datetime.now(UTC), session_id=account.id)

    async def as_(self, role: Role, tenant: Tenant | None = None) -> "Caller":
        """A caller with a new account of this role."""
        account = await add_account(self.installation, tenant, role)
        return Caller(self.http, self.token(account, tenant), account, tenant)

    async def operator(self) -> "Caller":
        """A caller with a new account of the platform."""
        return await self.as_(Role.OPERATOR)

    async def post(self, path: str, **request: Any) -> httpx.Response:
        """POST without a token."""
        return await self.http.post(f"/api/v1{path}", **request)

    async def get(self, path: str, **request: Any) -> httpx.Response:
        """GET without a token."""
        return await self.http.get(f"/api/v1{path}", **request)


class Caller(msgspec.Struct, frozen=True):
    """Somebody who sends requests with a token; a path that begins with `./` lies below the own tenant's."""

    http: httpx.AsyncClient
    token: str
    account: Account
    tenant: Tenant | None

    async def get(self, path: str, **request: Any) -> httpx.Response:
        """GET as this account."""
        return await self.send("GET", path, **request)

    async def post(self, path: str, **request: Any) -> httpx.Response:
        """POST as this account."""
        return await self.send("POST", path, **request)

    async def put(self, path: str, **request: Any) -> httpx.Response:
        """PUT as this account."""
        return await self.send("PUT", path, **request)

    async def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        """Any request as this account."""
        if path.startswith("./"):
            assert self.tenant is not None
            path = f"/tenants/{self.tenant.id}/{path.removeprefix('./')}"
        authorised = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        return await self.http.request(method, f"/api/v1{path}", headers=authorised, **request)


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """The application from its start to its stop, which must both happen in one task; fixtures use two."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        try:
            async with app.lifespan():
                started.set()
                await stop.wait()
        finally:
            started.set()

    life = asyncio.create_task(live())
    await started.wait()
    if life.done():
        await life
    try:
        yield
    finally:
        stop.set()
        await life


def problem_of(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    """The problem details of an error, which must have this status and, where it is given, this type."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"].startswith("urn:eu-platform:problem:")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert kind is None or problem["type"].removeprefix("urn:eu-platform:problem:") == kind
    if status == httpx.codes.UNAUTHORIZED:
        assert answer.headers["www-authenticate"] == "Bearer"
    return problem
