"""Fixtures on the real servers: one embedded PostgreSQL and Redis per test process, started at first use."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
import structlog

from core.tenant import Tenant
from shell.audit_key import ensure_audit_key
from shell.keys import ensure_key
from shell.logs import rendered
from shell.migrations import migrate_public
from shell.servers import held_servers
from shell.settings import Settings
from tests.installation import PRISTINE, Installation, administrator, copied, found, installed
from tests.s3 import s3_server
from tests.web.client import Api, running
from tests.web.contract import Contract
from tests.worker import working
from web.app import application, served
from web.openapi import openapi_document
from web.services import Services, services_of

BASE_URL = "http://platform.test"

# Plain lines, and no cached loggers: a test may capture what is logged.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        rendered,
    ],
    cache_logger_on_first_use=False,
)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Running servers; `database_url` is the administrator's. Passwords cost next to nothing here."""
    settings = Settings(
        data=tmp_path_factory.mktemp("data"),
        argon2_memory_kib=8,
        argon2_time=1,
        password_queue=200,
        login_free_failures=10_000,  # all tests come from one address; those of throttling set limits
        address_free_failures=100_000,
        address_free_registrations=100_000,
        seller_vat_id="DE999999999",
    )
    with held_servers(settings) as held:
        ensure_key(held)
        ensure_audit_key(held)
        yield held


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a real S3 server with a bucket."""
    with s3_server() as endpoint:
        yield endpoint


@pytest_asyncio.fixture(scope="session")
async def installation(servers: Settings) -> AsyncIterator[Installation]:
    """The platform that all tests of this process share; each works on tenants of its own."""
    async with installed(servers) as first:
        await migrate_public(first.owner_pool)
    async with administrator(first.admin_url.replace("/platform?", "/postgres?")) as admin:
        # Nothing here must survive a crash of the machine, and the disk is what takes the most time.
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.execute(f"CREATE DATABASE {PRISTINE} TEMPLATE platform")
    async with installed(servers) as shared:
        yield shared


@pytest_asyncio.fixture
async def own_installation(installation: Installation, servers: Settings) -> AsyncIterator[Installation]:
    """A platform for one test alone, with an empty registry."""
    async with copied(servers) as own, installed(own) as alone:
        yield alone


@pytest_asyncio.fixture
async def tenant(installation: Installation) -> Tenant:
    """A new tenant, ACTIVE, with no rows."""
    return await found(installation)


@pytest_asyncio.fixture
async def other_tenant(installation: Installation) -> Tenant:
    """Another new tenant."""
    return await found(installation)


@pytest_asyncio.fixture(scope="session")
async def worker(installation: Installation) -> AsyncIterator[None]:
    """A worker that runs every job that is announced."""
    redis_url = installation.settings.redis_url
    assert redis_url is not None
    async with working(redis_url, msgspec.structs.replace(installation.context, worker="worker")):
        yield


@asynccontextmanager
async def answering(settings: Settings) -> AsyncIterator[tuple[Services, httpx.AsyncClient]]:
    """An API with these settings and a client of it, which holds answers against the OpenAPI document."""
    app = application(settings)
    asgi: Any = served(app, settings)  # Litestar's types of ASGI are narrower than httpx's
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi, raise_app_exceptions=False),
        base_url=BASE_URL,
        trust_env=False,
        event_hooks={"response": [Contract(openapi_document(app)).check]},
    )
    async with running(app), client as http:
        yield services_of(app.state), http


@pytest_asyncio.fixture(scope="session")
async def api(installation: Installation, worker: None) -> AsyncIterator[Api]:
    """The API of the shared platform, and its worker."""
    settings = msgspec.structs.replace(installation.settings, owner_database_url=None)
    async with answering(settings) as (services, http):
        yield Api(http, services, installation)
