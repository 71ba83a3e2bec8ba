"""The steps by which a tenant is erased; each is one transaction of the owner that is recorded in it.

A step locks tenant and erasure first and finds out whether it was done, so that it is done once, however
often and by however many workers it is begun. What lies outside of that transaction (objects, Redis, details
of audit entries) is done before it commits, and may be done twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from core.audit import PLATFORM_CHAIN, SYSTEM, AuditEntry
from core.deletion_ledger import erased_schema, erased_tenant
from core.erasure import Identifiers, Step, erased_slug, tables_of_tenants
from core.errors import PriceMissing
from core.invoicing import Party
from core.period import month_of
from core.tenant import Tenant, TenantEvent, TenantState, next_state
from shell import closing, deletion_ledger, erasures, exports, invoices, legal_archive, mail, tenants
from shell.audit import (
    append_platform_entry,
    append_tenants_entry,
    erase_details_of_chain,
    erase_details_of_person,
)
from shell.audit_key import audit_signer
from shell.audit_log import prove_entry
from shell.certificates import certify
from shell.database import Pool
from shell.object_store import ObjectStore
from shell.queries import SQL
from shell.redis_purge import purge
from shell.sealing import SecretKeys
from shell.session import Session, closing_by_owner, owner_session
from shell.settings import Settings

Facts = dict[str, str]
JOBS = "jobs"

log = structlog.get_logger()


class Erasing(msgspec.Struct, frozen=True):
    """An erasure that runs: whose it is, by which job, and what its steps need."""

    settings: Settings
    owner_pool: Pool
    objects: ObjectStore
    secret: SecretKeys
    tenant: Tenant
    job_id: UUID
    is_replay: bool = False
    """Whether the tenant was erased before, and came back with a backup: it was billed then."""


async def perform(erasing: Erasing, step: Step) -> None:
    """Do a step, unless it was done before."""
    tenant_id = erasing.tenant.id
    if step in BEFORE:
        await BEFORE[step](erasing)
    async with owner_session(erasing.owner_pool, schema=erasing.tenant.schema) as session:
        tenant = await tenants.lock(session, tenant_id)
        if await erasures.is_done(session, tenant_id, step):
            return
        facts = await PERFORM[step](erasing, session, tenant)
        await erasures.record(session, tenant_id, step, facts)


async def _freeze(_: Erasing, session: Session, tenant: Tenant) -> Facts:
    """Close the tenant to its users; also to requests that have begun: their next statement is refused."""
    if tenant.state in {TenantState.ACTIVE, TenantState.SUSPENDED}:
        state = next_state(tenant.state, TenantEvent.DELETE)
        await tenants.set_state(session, tenant, state)
        details = {"from": tenant.state.value, "to": state.value}
        await append_platform_entry(
            session, AuditEntry("tenant.delete", f"tenant:{tenant.id}", SYSTEM, details=details)
        )
    if await session.connection.fetchval(SQL["role_exists"], tenant.schema) and await _has_schema(
        session, tenant
    ):
        await session.connection.execute(f"REVOKE ALL ON SCHEMA {tenant.schema} FROM {tenant.schema}")
    return {}


async def _archive(erasing: Erasing, session: Session, tenant: Tenant) -> Facts:
    """Keep what the law requires, and note, sealed, whom the scan will look for."""
    names = await _tables(session, tenant)
    is_complete = f"{tenant.schema}.users" in names  # its tables come all at once, or it never opened
    if names:  # whoever was writing when the tenant was frozen has ended when all are locked
        await session.connection.execute(f"LOCK TABLE {', '.join(names)} IN SHARE MODE")
    identifiers = await _identifiers(session, tenant, erasing.job_id, with_people=is_complete)
    await erasures.keep_identifiers(session, tenant.id, identifiers, erasing.secret)
    if not is_complete:
        return {"invoices": "0"}
    if not erasing.is_replay:
        await _bill(erasing, session, tenant)
    archive = await legal_archive.keep(
        session,
        tenant,
        erasing.objects,
        erasing.secret,
        financial_year_end_month=erasing.settings.seller_financial_year_end_month,
    )
    if archive is None:
        return {"invoices": "0"}
    return {
        "invoices": str(archive.invoices),
        "legal_basis": archive.legal_basis,
        "keep_until": archive.keep_until.isoformat(),
    }


async def _bill(erasing: Erasing, session: Session, tenant: Tenant) -> None:
    """Issue the last invoice: all that was used until now and that no other has billed."""
    now, settings = datetime.now(UTC), erasing.settings
    closing_session = await closing_by_owner(session, tenant)
    try:
        await closing.close_days(closing_session, now)
    except (
        PriceMissing
    ) as error:  # nobody can say what that has cost: it must not keep the tenant from being erased
        log.warning("erasure.not_all_billed", tenant_id=str(tenant.id), error=str(error))
    seller = Party(settings.seller_name, settings.seller_country, settings.seller_vat_id)
    month = month_of(now, tenant.time_zone)
    invoice_id = await invoices.issue_month(closing_session, month, seller, now)
    if invoice_id is not None:
        entry = AuditEntry("invoice.issued", f"invoice:{invoice_id}", SYSTEM)
        await append_tenants_entry(session, tenant, entry)


async def _delete_data(erasing: Erasing, session: Session, tenant: Tenant) -> Facts:
    """Empty the tenant's tables, and delete what the shared schema says of it."""
    await deletion_ledger.append(session, erased_tenant(tenant.id))
    await deletion_ledger.append(session, erased_schema(tenant.schema))
    names = await _tables(session, tenant)
    if names:
        await session.connection.execute(f"TRUNCATE {', '.join(names)}")
    await session.connection.execute(SQL["erase_idempotency_keys"], tenant.id)
    await session.connection.execute(SQL["erase_jobs"], tenant.id, erasing.job_id)
    for table in tables_of_tenants():
        if table != JOBS:  # of which one is this erasure's own
            statement = f"DELETE FROM public.{table} WHERE tenant_id = $1"  # noqa: S608 -- the classification's
            await session.connection.execute(statement, tenant.id)
    await session.connection.execute(SQL["clear_tenant"], tenant.id)
    return {"tables": str(len(names))}


async def _delete_outside(erasing: Erasing) -> None:
    """Delete packages and kept mails; take details out of the tenant's chain and its people's entries."""
    now, tenant, owner_pool = datetime.now(UTC), erasing.tenant, erasing.owner_pool
    async with owner_session(owner_pool) as session:
        identifiers = await erasures.identifiers_of(session, tenant.id, erasing.secret)
    await exports.remove_of_tenant(owner_pool, erasing.objects, tenant.id)
    await asyncio.to_thread(mail.forget, erasing.settings, identifiers.emails)
    await erase_details_of_chain(owner_pool, tenant.chain, now)
    for person in identifiers.user_ids:
        await erase_details_of_person(owner_pool, person, chains=[PLATFORM_CHAIN], now=now)


async def _drop_schema(_: Erasing, session: Session, tenant: Tenant) -> Facts:
    await drop_schema(session, tenant.schema)
    return {}


async def drop_schema(session: Session, schema: str) -> None:
    """Drop a tenant's schema and role where they are; no other's tables are locked."""
    await session.connection.execute(SQL["lock_schema"], schema)
    await session.connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    if await session.connection.fetchval(SQL["role_exists"], schema):
        await session.connection.execute(f"DROP ROLE {schema}")


async def _purge_redis(erasing: Erasing, session: Session, tenant: Tenant) -> Facts:
    identifiers = await erasures.identifiers_of(session, tenant.id, erasing.secret)
    purged = await purge(erasing.settings, erasing.secret, tenant, identifiers)
    return {"keys": str(purged)}


async def _audit(_: Erasing, session: Session, tenant: Tenant) -> Facts:
    state = next_state(tenant.state, TenantEvent.ERASE)
    details = {"from": tenant.state.value, "to": state.value}
    entry = AuditEntry("tenant.erase", f"tenant:{tenant.id}", SYSTEM, details=details)
    await append_platform_entry(session, entry)
    entry_id = await session.connection.fetchval(SQL["erasure_entry"], f"tenant:{tenant.id}")
    return {"audit_entry": str(entry_id)}


async def _close(_: Erasing, session: Session, tenant: Tenant) -> Facts:
    state = next_state(tenant.state, TenantEvent.ERASE)
    await session.connection.execute(SQL["close_tenant"], tenant.id, state, erased_slug(tenant.id))
    return {}


async def _certify(erasing: Erasing, session: Session, tenant: Tenant) -> Facts:
    """Look for whom should be gone, sign what was found, and forget whom it was looked for."""
    identifiers = await erasures.identifiers_of(session, tenant.id, erasing.secret)
    findings = await certify(
        session, tenant.id, identifiers, settings=erasing.settings, secret=erasing.secret
    )
    await erasures.finish(session, tenant.id)
    return {"findings": str(findings)}


async def _have_entry_placed(erasing: Erasing) -> None:
    """Give the entry about the erasure its place in the log, under a signed checkpoint."""
    async with owner_session(erasing.owner_pool) as session:
        done = await erasures.steps_of(session, erasing.tenant.id)
    entry, signer = UUID(done[Step.AUDIT].facts["audit_entry"]), audit_signer(erasing.settings)
    await prove_entry(erasing.owner_pool, erasing.owner_pool, signer, entry, datetime.now(UTC))


BEFORE: dict[Step, Callable[[Erasing], Awaitable[None]]] = {
    Step.DELETE_DATA: _delete_outside,
    Step.CERTIFY: _have_entry_placed,
}
"""What is done in transactions of its own, before the step's: a worker has one connection for each job."""

PERFORM: dict[Step, Callable[[Erasing, Session, Tenant], Awaitable[Facts]]] = {
    Step.FREEZE: _freeze,
    Step.ARCHIVE: _archive,
    Step.DELETE_DATA: _delete_data,
    Step.DROP_SCHEMA: _drop_schema,
    Step.PURGE_REDIS: _purge_redis,
    Step.AUDIT: _audit,
    Step.CLOSE: _close,
    Step.CERTIFY: _certify,
}


async def _has_schema(session: Session, tenant: Tenant) -> bool:
    return bool(await session.connection.fetchval(SQL["schema_exists"], tenant.schema))


async def _tables(session: Session, tenant: Tenant) -> list[str]:
    """The tables of the tenant's schema, as SQL names them."""
    return [row["name"] for row in await session.connection.fetch(SQL["tables_of_schema"], tenant.schema)]


async def _identifiers(session: Session, tenant: Tenant, job_id: UUID, *, with_people: bool) -> Identifiers:
    fetch = session.connection.fetch
    people, invited = await fetch(SQL["founder_to_erase"], tenant.id), list[asyncpg.Record]()
    if with_people:
        people, invited = (
            [*people, *await fetch(SQL["people_to_erase"])],
            await fetch(SQL["invited_to_erase"]),
        )
    return Identifiers(
        emails=frozenset(row["email"].lower() for row in [*people, *invited]),
        names=frozenset(row["full_name"] for row in people),
        user_ids=frozenset(row["id"] for row in people),
        key_ids=frozenset(row["id"] for row in await fetch(SQL["machines_to_erase"], tenant.id)),
        job_ids=frozenset(row["id"] for row in await fetch(SQL["jobs_to_erase"], tenant.id, job_id)),
    )
