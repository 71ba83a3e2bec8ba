"""The platform installed in a database of the embedded server: roles, shared schema, pools, and tenants."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.identity import Account
from core.job import Job, JobKind, JobState
from core.permission import PLATFORM_ROLES, Role
from core.tenant import Tenant, TenantState
from jobs.context import WorkerContext
from shell import accounts, jobs, provisioning, tenants
from shell.announce import announcer
from shell.database import Connection, Pool, open_pool
from shell.queries import SQL
from shell.servers import prepare_roles
from shell.session import Session, owner_session, platform_session, tenant_session
from shell.settings import Secret, Settings
from shell.tenants import Founder, NewTenant

PRISTINE = "pristine"
"""A database with the shared schema and nothing else, which others are copied from."""

_numbers = count(1)


class Installation(msgspec.Struct, frozen=True):
    """A database with roles and shared schema, and pools as the application and as the owner."""

    settings: Settings
    admin_url: str
    pool: Pool
    owner_pool: Pool
    context: WorkerContext


@asynccontextmanager
async def installed(servers: Settings) -> AsyncIterator[Installation]:
    """Make the roles and open the pools; `servers.database_url` is the administrator's."""
    assert servers.database_url is not None
    assert servers.redis_url is not None
    settings = await prepare_roles(servers)
    assert settings.database_url is not None
    assert settings.owner_database_url is not None
    broker = announcer(servers.redis_url)
    async with (
        await open_pool(settings.database_url.value, size=20, name="tests") as pool,
        await open_pool(settings.owner_database_url.value, size=6, name="tests (owner)") as owner_pool,
    ):
        context = WorkerContext(settings, pool, owner_pool, broker, "tests")
        yield Installation(settings, servers.database_url.value, pool, owner_pool, context)
    await broker.shutdown()


@asynccontextmanager
async def copied(servers: Settings) -> AsyncIterator[Settings]:
    """The servers with a database of its own, copied from the pristine one and dropped at the end."""
    assert servers.database_url is not None
    admin_url, name = servers.database_url.value, f"own_{next(_numbers)}"
    async with administrator(admin_url) as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {PRISTINE}")
        yield msgspec.structs.replace(servers, database_url=Secret(database_url(admin_url, name)))
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def administrator(admin_url: str) -> AsyncIterator[Connection]:
    """A connection of the server's superuser, who may look at everything and prepare what no API can."""
    connection = await asyncpg.connect(admin_url)
    try:
        yield connection
    finally:
        await connection.close()


def database_url(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def elsewhere(installation: Installation) -> Secret:
    """A database of the same Redis that no worker listens to, empty unless the test has filled it."""
    assert installation.settings.redis_url is not None
    return Secret(f"{installation.settings.redis_url.value}?db={1 + next(_numbers) % 15}")


def new_slug(stem: str = "acme") -> str:
    """A slug that no other tenant of this server has, since roles belong to the whole server."""
    return f"{stem}-{next(_numbers)}"


async def register(
    installation: Installation,
    *,
    slug: str | None = None,
    country: str = "DE",
    vat_id: str | None = None,
    time_zone: str = "Europe/Berlin",
    founder: Founder | None = None,
) -> Tenant:
    """A tenant in the registry, PENDING, without a schema."""
    new = NewTenant(slug or new_slug(), "Acme GmbH", country, vat_id, time_zone)
    async with platform_session(installation.pool) as session:
        return await tenants.insert(session, new, founder)


async def provision(installation: Installation, tenant: Tenant) -> Tenant:
    """The tenant with role, schema and tables, ACTIVE."""
    owner_pool = installation.owner_pool
    begun = await provisioning.begin(owner_pool, tenant.id)
    await provisioning.create_role(owner_pool, begun)
    await provisioning.create_schema(owner_pool, begun)
    await provisioning.create_tables(owner_pool, begun)
    await provisioning.complete(owner_pool, begun)
    return await current(installation, tenant)


async def found(
    installation: Installation,
    *,
    country: str = "DE",
    vat_id: str | None = None,
    time_zone: str = "Europe/Berlin",
) -> Tenant:
    """A new ACTIVE tenant."""
    pending = await register(installation, country=country, vat_id=vat_id, time_zone=time_zone)
    return await provision(installation, pending)


async def current(installation: Installation, tenant: Tenant) -> Tenant:
    """The tenant as the registry has it now."""
    async with platform_session(installation.pool, readonly=True) as session:
        return await tenants.get(session, tenant.id)


async def put_into(installation: Installation, tenant: Tenant, state: TenantState) -> Tenant:
    """The tenant in another state, whatever the lifecycle says."""
    async with owner_session(installation.owner_pool) as session:
        return await tenants.set_state(session, tenant, state)


async def add_account(
    installation: Installation, tenant: Tenant | None, role: Role, *, phc: str = "none"
) -> Account:
    """An account of a tenant, or of the platform."""
    account = Account(uuid4(), f"user-{next(_numbers)}@example.com", "Ada Lovelace", role)
    assert (tenant is None) == (role in PLATFORM_ROLES)
    async with account_session(installation, tenant) as session:
        assert await accounts.insert(session, account, phc)
        # A session with the account's id, for tokens that are issued without logging in.
        await session.connection.execute(
            SQL["insert_session"], account.id, account.id, "test", None, datetime.now(UTC)
        )
    return account


@asynccontextmanager
async def account_session(installation: Installation, tenant: Tenant | None) -> AsyncIterator[Session]:
    """The session that accounts of a tenant, or of the platform, live in."""
    if tenant is None:
        async with platform_session(installation.pool) as session:
            yield session
    else:
        async with tenant_session(installation.pool, tenant_id=tenant.id) as tenant_:
            yield tenant_


async def job_of(installation: Installation, job_id: UUID) -> Job:
    """A job as it is now."""
    async with platform_session(installation.pool, readonly=True) as session:
        return await jobs.get(session, job_id)


async def is_done(installation: Installation, job_id: UUID) -> bool:
    """Whether a job has been done."""
    return (await job_of(installation, job_id)).state is JobState.DONE


async def queued(installation: Installation, kind: JobKind, tenant: Tenant, **args: str) -> Job:
    """A job that nobody has been told of."""
    async with platform_session(installation.pool) as session:
        return await jobs.enqueue(
            session, kind, dedupe_key=str(uuid4()), tenant_id=tenant.id, args=args, request_id="r1"
        )


async def rows(installation: Installation, query: str, *arguments: object) -> list[Mapping[str, object]]:
    """What the administrator sees."""
    async with administrator(installation.admin_url) as admin:
        return [dict(row) for row in await admin.fetch(query, *arguments)]
