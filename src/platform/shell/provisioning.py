"""Provisioning a tenant: three committed steps, each of which may run again, then the founder moves in."""

from datetime import UTC, datetime
from uuid import UUID

from core.audit import SYSTEM, AuditEntry
from core.errors import NotFound
from core.tenant import Tenant, TenantEvent, TenantState, next_state, require_readable
from shell.audit import append_platform_entry
from shell.database import Pool
from shell.migrations import TENANT, ledger, migrate_schema
from shell.queries import SQL
from shell.session import Session, owner_session, tenant_of


async def create_role(owner_pool: Pool, tenant: Tenant) -> None:
    """Step one: the tenant's role, which the application may become and which inherits nothing else."""
    async with owner_session(owner_pool) as session:
        await _require_not_erased(session, tenant)
        await _create_role(session, tenant.schema)


async def create_role_of(owner_pool: Pool, schema: str) -> None:
    """The same for a schema whose tenant the registry does not know yet, as where a backup is restored."""
    async with owner_session(owner_pool) as session:
        await _create_role(session, schema)


async def create_schema(owner_pool: Pool, tenant: Tenant) -> None:
    """Step two: the schema, and the right to read and write whatever tables it will have."""
    async with owner_session(owner_pool) as session:
        await _require_not_erased(session, tenant)
        await session.connection.execute(SQL["lock_schema"], tenant.schema)
        await session.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {tenant.schema}")
        # Made before the default rights: a tenant must not touch the record of its migrations.
        await session.connection.execute(ledger(tenant.schema))
        await session.connection.execute(f"GRANT USAGE ON SCHEMA {tenant.schema} TO {tenant.schema}")
        await session.connection.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {tenant.schema} "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {tenant.schema}"
        )


async def create_tables(owner_pool: Pool, tenant: Tenant) -> None:
    """Step three: the tables, by the tenant migrations."""
    await migrate_schema(owner_pool, tenant.schema, TENANT)


async def begin(owner_pool: Pool, tenant_id: UUID) -> Tenant:
    """Mark the tenant PROVISIONING, also when a crashed attempt has done so before; gives the tenant.

    A tenant that is already complete is given unchanged; raises TenantGone for one that is being erased.
    """
    async with owner_session(owner_pool) as session:
        tenant = await _locked_tenant(session, tenant_id)
        require_readable(tenant.state)
        if tenant.state in {TenantState.PENDING, TenantState.PROVISIONING}:
            await _move(session, tenant, TenantEvent.PROVISION)
    return tenant


async def complete(owner_pool: Pool, tenant: Tenant) -> None:
    """Let the founder move in and open the tenant; a tenant that is open already stays as it is."""
    async with owner_session(owner_pool, schema=tenant.schema) as session:
        await open_tenant(session, tenant.id)


async def open_tenant(session: Session, tenant_id: UUID) -> None:
    """What `complete` does, in a session of the owner in the tenant's schema."""
    tenant = await _locked_tenant(session, tenant_id)
    if tenant.state is TenantState.PROVISIONING:
        founder = await session.connection.fetchrow(SQL["take_founder"], tenant.id)
        if founder is not None:
            await session.connection.execute(SQL["insert_founder"], *founder, datetime.now(UTC))
        await _move(session, tenant, TenantEvent.COMPLETE)


async def _create_role(session: Session, schema: str) -> None:
    await session.connection.execute(SQL["lock_schema"], schema)
    if not await session.connection.fetchval(SQL["role_exists"], schema):
        await session.connection.execute(f"CREATE ROLE {schema} NOLOGIN")
    await session.connection.execute(f"GRANT platform_tenant TO {schema}")
    await session.connection.execute(f"GRANT {schema} TO platform_app WITH INHERIT FALSE, SET TRUE")


async def _require_not_erased(session: Session, tenant: Tenant) -> None:
    """Raise TenantGone where an erasure has begun since: it would not find what is made now."""
    require_readable((await _locked_tenant(session, tenant.id)).state)


async def _locked_tenant(session: Session, tenant_id: UUID) -> Tenant:
    row = await session.connection.fetchrow(SQL["lock_tenant"], tenant_id)
    if row is None:
        raise NotFound(what="tenant")
    return tenant_of(row)


async def _move(session: Session, tenant: Tenant, event: TenantEvent) -> None:
    state = next_state(tenant.state, event)
    await session.connection.execute(SQL["set_tenant_state"], tenant.id, state)
    if state is not tenant.state:
        entry = AuditEntry(
            action=f"tenant.{event}",
            subject=f"tenant:{tenant.id}",
            actor=SYSTEM,
            details={"from": tenant.state, "to": state},
        )
        await append_platform_entry(session, entry)
