"""The stage: the platform on embedded servers in a folder that is thrown away, with tenants to measure on."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from core.identity import Account
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell import accounts, provisioning, tenants
from shell.api_client import ApiClient
from shell.audit_key import ensure_audit_key
from shell.commands.connect import Connected, pools
from shell.database import Connection, Pool
from shell.keys import KeyRing, ensure_key
from shell.migrations import migrate_public
from shell.processes import API, supervised
from shell.queries import SQL
from shell.servers import held_servers, prepare_roles
from shell.session import platform_session, tenant_session
from shell.settings import Secret, Settings, load_settings
from shell.tenants import NewTenant
from shell.tokens import AccessTokens

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
AT_ONCE = 4
LONG_RUN_SECONDS = 24 * 3_600
"""Tokens and statements may last as long as the longest benchmark."""


class Stage(msgspec.Struct, frozen=True):
    """Running servers, pools to them as the application and as the owner, and a way to sign in anybody."""

    settings: Settings
    admin_url: Secret
    pool: Pool
    owner_pool: Pool
    tokens: AccessTokens

    def authorization(self, tenant: Tenant) -> str:
        """The header of a request by the tenant's owner, with a token as a login would give."""
        token = self.tokens.issue(owner_of(tenant), tenant, datetime.now(UTC), session_id=tenant.id)
        return f"Authorization: Bearer {token}\r\n"


@asynccontextmanager
async def stage(*, api_processes: int = 0) -> AsyncIterator[Stage]:
    """The platform on fresh data for as long as the body runs, with as many API processes as are wanted."""
    with fresh_folder() as folder, ExitStack() as stack:
        environment = {"PLATFORM_API_PROCESSES": str(max(1, api_processes))}
        settings = load_settings(environment, data=folder, host=HOST, port=free_port())
        located = stack.enter_context(held_servers(settings))
        async with _prepared(located) as platform:
            if api_processes:
                stack.enter_context(supervised(platform.settings, API))
                await _until_ready(platform.settings)
            lasting = msgspec.structs.replace(platform.settings, access_token_seconds=LONG_RUN_SECONDS)
            tokens = AccessTokens(KeyRing(lasting), lasting)
            yield Stage(platform.settings, _required(located), platform.pool, platform.owner_pool, tokens)


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="eu-platform-bench-") as name:
        yield Path(name) / "data"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _prepared(located: Settings) -> AsyncIterator[Connected]:
    settings = await prepare_roles(located)
    ensure_key(settings)
    ensure_audit_key(settings)
    async with pools(settings) as platform:
        await migrate_public(platform.owner_pool)
        yield platform


def _required(located: Settings) -> Secret:
    assert located.database_url is not None
    return located.database_url


async def _until_ready(settings: Settings) -> None:
    client = ApiClient(f"http://{settings.host}:{settings.port}")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(client.is_ready):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.05)


async def register(stage: Stage, slug: str) -> Tenant:
    """A PENDING tenant: a row of the registry, nothing more."""
    async with platform_session(stage.pool) as session:
        return await tenants.insert(session, NewTenant(slug, slug.title(), "DE", None, "Europe/Berlin"), None)


async def provisioned(stage: Stage, slugs: list[str]) -> list[Tenant]:
    """ACTIVE tenants, by the steps of the provisioning job, several at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(slug: str) -> Tenant:
        async with gate:
            tenant = await register(stage, slug)
            await provisioning.begin(stage.owner_pool, tenant.id)
            await provisioning.create_role(stage.owner_pool, tenant)
            await provisioning.create_schema(stage.owner_pool, tenant)
            await provisioning.create_tables(stage.owner_pool, tenant)
            await provisioning.complete(stage.owner_pool, tenant)
            await _let_owner_in(stage, tenant)
            return msgspec.structs.replace(tenant, state=TenantState.ACTIVE)

    return list(await asyncio.gather(*(make(slug) for slug in slugs)))


def owner_of(tenant: Tenant) -> Account:
    """The tenant's owner, whose id, and whose session's id, is the tenant's."""
    return Account(tenant.id, f"owner@{tenant.slug}.example", "Owner", Role.OWNER)


async def _let_owner_in(stage: Stage, tenant: Tenant) -> None:
    async with tenant_session(stage.pool, tenant_id=tenant.id) as session:
        assert await accounts.insert(session, owner_of(tenant), "no password")
        await session.connection.execute(
            SQL["insert_session"], tenant.id, tenant.id, "bench", None, datetime.now(UTC)
        )


@asynccontextmanager
async def administrator(stage: Stage) -> AsyncIterator[Connection]:
    """A connection that may do anything, for what sets a benchmark up: data, VACUUM, CHECKPOINT."""
    connection = await asyncpg.connect(stage.admin_url.value)
    try:
        yield connection
    finally:
        await connection.close()


async def postgres_version(stage: Stage) -> str:
    """The version of the server, as it says itself."""
    return str(await stage.pool.fetchval("SHOW server_version"))
