"""A tenant that has what erasure must take and what the law makes one keep, for tests that erase it."""

from datetime import UTC, datetime, timedelta

from core.audit import SYSTEM
from core.deletion_ledger import erased_schema, erased_tenant, still_there
from core.erasure import STEPS, ErasureState
from core.job import Job, JobKind
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell import deletion_ledger, erasures, tenants
from shell.session import platform_session
from tests.installation import Installation, add_account, administrator, current, found, queued, rows

INVOICE = """
INSERT INTO {schema}.invoices
    (id, month, state, number, currency, seller, buyer, net, vat_rule, vat_rate, vat, total, note,
     created_at, issued_at, due_on)
VALUES (gen_random_uuid(), '2026-10', 'ISSUED', 'ACME-2026-00001', 'EUR',
        '{{"name": "Seller", "country": "DE"}}', '{{"name": "Acme GmbH", "country": "DE"}}',
        14.40, 'domestic', 19, 2.74, 17.14, '', '2026-11-02Z', '2026-11-02Z', '2026-11-16')
"""
LINE = """
INSERT INTO {schema}.invoice_lines
SELECT id, 1, 'cpu', 'cpu (vCPU-hour)', 720, 'vCPU-hour', 0.02, 14.40 FROM {schema}.invoices
"""


async def filled(installation: Installation) -> Tenant:
    """A tenant with an account, an invoice, and rows in the shared schema."""
    tenant = await found(installation)
    account = await add_account(installation, tenant, Role.OWNER)
    async with administrator(installation.admin_url) as admin:
        await admin.execute(INVOICE.format(schema=tenant.schema))
        await admin.execute(LINE.format(schema=tenant.schema))
        await admin.execute(
            "INSERT INTO public.api_keys (id, tenant_id, name, key_hmac, hint, scopes, networks, created_by,"
            " created_at) VALUES (gen_random_uuid(), $1, 'meter', $2, 'eup_', '{}', '{}', $3, now())",
            tenant.id, tenant.id.bytes, account.id,
        )  # fmt: skip
        await admin.execute(
            "INSERT INTO public.prices (id, tenant_id, resource, unit_price, effective_from, created_at)"
            " VALUES (gen_random_uuid(), $1, 'cpu', 0.01, '2026-01-01', now())",
            tenant.id,
        )
        await admin.execute(
            "INSERT INTO public.idempotency_keys (caller, key, request_hash, result, created_at)"
            " VALUES ('register', $1, '', $2, now())",
            str(tenant.id), f'{{"tenant_id":"{tenant.id}","user":{{"email":"{account.email}"}}}}',
        )  # fmt: skip
    await queued(installation, JobKind.RESET_PASSWORD, tenant, email=account.email)
    return tenant


async def requested(installation: Installation, tenant: Tenant, *, days: int = 0) -> Job:
    async with platform_session(installation.pool) as session:
        locked = await tenants.lock(session, tenant.id)
        due = datetime.now(UTC) + timedelta(days=days)
        return await erasures.request(session, locked, SYSTEM, due=due)


async def require_erased(installation: Installation, tenant: Tenant) -> None:
    """Nothing is left but what must be."""
    after = await current(installation, tenant)
    assert (after.state, after.name, after.vat_id) == (TenantState.DELETED, "erased", None)
    assert tenant.slug not in after.slug
    for catalogue, column in (("pg_namespace", "nspname"), ("pg_roles", "rolname")):
        assert not await rows(installation, f"SELECT FROM {catalogue} WHERE {column} = $1", tenant.schema)
    for table in ("api_keys", "prices", "founders"):
        assert not await rows(installation, f"SELECT FROM public.{table} WHERE tenant_id = $1", tenant.id)
    kinds = await rows(installation, "SELECT kind FROM public.jobs WHERE tenant_id = $1", tenant.id)
    assert {row["kind"] for row in kinds} <= {"erase_tenant"}
    async with platform_session(installation.pool, readonly=True) as session:
        erasure = await erasures.get(session, tenant.id)
        kept = await deletion_ledger.entries(session)
    assert (erasure.state, [step.step for step in erasure.steps]) == (ErasureState.DONE, list(STEPS))
    gone = [erased_tenant(tenant.id), erased_schema(tenant.schema)]
    assert still_there(kept, gone) == gone
    sealed = await rows(installation, "SELECT FROM public.erasures WHERE identifiers IS NOT NULL")
    assert sealed == []
