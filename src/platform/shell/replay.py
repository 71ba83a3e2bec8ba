"""Replaying erasures: what the deletion ledger knows to be gone, and a restored backup brought back."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import structlog

from core.audit import PLATFORM_CHAIN, AuditEntry
from core.deletion_ledger import (
    LedgerEntry,
    destroyed_archive,
    erased_person,
    erased_schema,
    erased_tenant,
    still_there,
)
from core.erasure import STEPS
from core.tenant import Tenant, TenantState
from shell import deletion_ledger, erasures, legal_archive, persons, tenants
from shell.audit import append_entry, append_platform_entry, erase_details_of_person
from shell.commands.connect import AT_THE_MACHINE, Connected
from shell.erasing import Erasing, drop_schema, perform
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.queries import SQL
from shell.session import owner_session, tenant_of, tenant_session

log = structlog.get_logger()


class Replayed(msgspec.Struct, frozen=True):
    """What came back, and is gone again."""

    tenants: list[UUID]
    schemas: int
    persons: int
    archives: list[UUID]


async def replay(platform: Connected, known: list[LedgerEntry]) -> Replayed:
    """Erase again all that the ledger, its copies and `known` say was erased; may be run again."""
    objects = ObjectStore(platform.settings)
    copies = await deletion_ledger.mirrored(objects)
    async with owner_session(platform.owner_pool) as session:
        ledger = await deletion_ledger.bring_back(session, [*copies, *known])
    return Replayed(
        tenants=await _tenants(platform, objects, ledger),
        schemas=await _schemas(platform, ledger),
        persons=await _persons(platform, ledger),
        archives=await _archives(platform, objects, ledger),
    )


async def _tenants(platform: Connected, objects: ObjectStore, ledger: list[LedgerEntry]) -> list[UUID]:
    """Tenants that the registry has as living, or as not erased to the end."""
    async with owner_session(platform.owner_pool) as session:
        registered = [tenant_of(row) for row in await session.connection.fetch(SQL["tenants_to_replay"])]
    living = {
        erased_tenant(tenant.id): tenant for tenant in registered if tenant.state is not TenantState.DELETED
    }
    back = [living[erased] for erased in still_there(ledger, living)]
    for tenant in back:
        await _erase_again(platform, objects, tenant)
    return [tenant.id for tenant in back]


async def _erase_again(platform: Connected, objects: ObjectStore, tenant: Tenant) -> None:
    """Begin anew and do every step; a worker goes on with it where this is interrupted."""
    settings, job_id = platform.settings, uuid4()
    async with owner_session(platform.owner_pool) as session:
        await erasures.restart(session, await tenants.lock(session, tenant.id), job_id)
    erasing = Erasing(
        settings, platform.owner_pool, objects, secret_keys(settings), tenant, job_id, is_replay=True
    )
    for step in STEPS:
        await perform(erasing, step)
    log.info("erasure.replayed", tenant_id=str(tenant.id))


async def _schemas(platform: Connected, ledger: list[LedgerEntry]) -> int:
    """Schemas and roles of tenants that the registry knows to be gone: one of them alone was restored."""
    async with owner_session(platform.owner_pool) as session:
        rows = await session.connection.fetch(SQL["schemas_to_replay"])
        back = still_there(ledger, [erased_schema(row["name"]) for row in rows])
        for erased in back:
            await drop_schema(session, erased.name)
            details = {"what": "the schema of a tenant that was erased before"}
            entry = AuditEntry("erasure.replayed", "schema", AT_THE_MACHINE, details=details)
            await append_platform_entry(session, entry)
    return len(back)


async def _persons(platform: Connected, ledger: list[LedgerEntry]) -> int:
    """People of living tenants; each tenant is one transaction."""
    async with owner_session(platform.owner_pool) as session:
        registered = [tenant_of(row) for row in await session.connection.fetch(SQL["tenants_to_replay"])]
    count = 0
    for tenant in registered:
        if tenant.state in {TenantState.ACTIVE, TenantState.SUSPENDED}:
            count += await _persons_of(platform, tenant, ledger)
    return count


async def _persons_of(platform: Connected, tenant: Tenant, ledger: list[LedgerEntry]) -> int:
    async with tenant_session(platform.pool, tenant_id=tenant.id) as session:
        rows = await session.connection.fetch(SQL["people_to_erase"])
        people = {erased_person(tenant.id, row["id"]): row["id"] for row in rows}
        back = [people[erased] for erased in still_there(ledger, people)]
        for user_id in back:
            await persons.erase_rows(session, user_id)
            await append_entry(session, AuditEntry("user.erased_again", f"user:{user_id}", AT_THE_MACHINE))
    for user_id in back:
        await erase_details_of_person(
            platform.owner_pool, user_id, chains=[tenant.chain, PLATFORM_CHAIN], now=datetime.now(UTC)
        )
    return len(back)


async def _archives(platform: Connected, objects: ObjectStore, ledger: list[LedgerEntry]) -> list[UUID]:
    async with owner_session(platform.owner_pool) as session:
        rows = await session.connection.fetch(SQL["archives_to_replay"])
        known = {destroyed_archive(row["tenant_id"]): row["tenant_id"] for row in rows}
        back = [known[erased] for erased in still_there(ledger, known)]
        for tenant_id in back:
            await legal_archive.destroy(session, tenant_id, objects, AT_THE_MACHINE)
    return back
