"""The job that erases a tenant: what is gone afterwards, what is kept, and what can be proved."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from redis.asyncio import Redis

from core.audit import SYSTEM
from core.errors import NotFound, TenantGone, UnderLegalHold
from core.job import JobState
from core.legal_hold import LegalHold
from core.tenant import TenantState
from jobs.context import WorkerContext
from jobs.erasure import find_due_erasures, find_expired_archives, mirror_ledger
from jobs.runner import run_job
from shell import certificates, deletion_ledger, legal_archive, legal_holds, provisioning, tenants
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.session import platform_session
from tests.erasure import filled, requested, require_erased
from tests.events import store, usage
from tests.installation import Installation, current, job_of, register, rows


async def test_a_tenant_is_erased_and_its_invoices_are_archived(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await filled(own_installation)
    await store(own_installation, tenant, usage("not billed yet", quantity="250"))
    job = await requested(own_installation, tenant)
    await run_job(own_context, job.id)
    done = await job_of(own_installation, job.id)
    assert (done.state, done.error) == (JobState.DONE, None)
    await require_erased(own_installation, tenant)
    secret = secret_keys(own_context.settings)
    async with platform_session(own_installation.pool) as session:
        certificate = await certificates.get(session, tenant.id, secret)
        content = await legal_archive.read(
            session, tenant.id, ObjectStore(own_context.settings), secret, actor=SYSTEM, reason="a tax audit"
        )
        archive = await legal_archive.get(session, tenant.id)
    statement = certificate.statement
    assert statement.is_clean, statement.scan.findings
    assert (statement.scan.emails, statement.scan.user_ids) == (1, 1)
    assert certificates.is_genuine(statement, certificate.signature, certificate.public_key)
    assert statement.inclusion.checkpoint.startswith(
        f"eu-platform/audit/platform\n{statement.inclusion.size}\n"
    )
    read = msgspec.json.decode(content)
    numbers = {"ACME-2026-00001", f"{tenant.slug.upper()}-{datetime.now(UTC).year}-00001"}
    assert {invoice["number"] for invoice in read["invoices"]} == numbers, "what was used is billed at last"
    assert sorted(line["quantity"] for line in read["invoice_lines"]) == [250, 720]
    assert [record["invoiced_quantity"] for record in read["cost_records"]] == [250]
    assert (archive.keep_until.year, archive.country) == (datetime.now(UTC).year + 8, "DE")


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_a_tenant_that_never_opened_is_erased_and_not_provisioned_after_all(
    installation: Installation, context: WorkerContext, steps: int
) -> None:
    tenant = await register(installation)
    provision = [provisioning.create_role, provisioning.create_schema]
    if steps:
        await provisioning.begin(installation.owner_pool, tenant.id)
    for step in provision[:steps]:
        await step(installation.owner_pool, tenant)
    job = await requested(installation, tenant, days=30)
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE, "there is nothing to wait for"
    await require_erased(installation, tenant)
    for step in provision:
        with pytest.raises(TenantGone):
            await step(installation.owner_pool, tenant)
    assert await rows(installation, "SELECT FROM pg_roles WHERE rolname = $1", tenant.schema) == []


async def test_what_redis_holds_of_a_tenant_goes_and_that_of_others_stays(
    installation: Installation, context: WorkerContext
) -> None:
    tenant, other = await filled(installation), await filled(installation)
    assert installation.settings.redis_url is not None
    async with Redis.from_url(installation.settings.redis_url.value) as redis:
        for each in (tenant, other):
            await redis.set(f"throttle:api:tenant:{each.id}", "1")
        job = await requested(installation, tenant)
        await run_job(context, job.id)
        assert await redis.exists(f"throttle:api:tenant:{tenant.id}") == 0
        assert await redis.exists(f"throttle:api:tenant:{other.id}") == 1


async def test_a_certificate_says_where_somebody_is_still_found(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await filled(own_installation)
    (user,) = await rows(own_installation, f"SELECT email FROM {tenant.schema}.users")
    secret = secret_keys(own_context.settings)
    await rows(
        own_installation, "CREATE TABLE public.forgotten (id int PRIMARY KEY, note bytea, tags text[])"
    )
    await rows(own_installation, "ALTER TABLE public.forgotten OWNER TO platform_owner")
    await rows(
        own_installation,
        "INSERT INTO public.forgotten VALUES (1, convert_to($1, 'UTF8'), ARRAY[$2])",
        f"mail to {user['email']}", "ADA  lovelace",
    )  # fmt: skip
    await run_job(own_context, (await requested(own_installation, tenant)).id)
    async with platform_session(own_installation.pool) as session:
        certificate = await certificates.get(session, tenant.id, secret)
    statement = certificate.statement
    assert not statement.is_clean
    places = {(each.place, str(each.kind)) for each in statement.scan.findings}
    assert places >= {("public.forgotten.note", "email"), ("public.forgotten.tags", "name")}
    forged = msgspec.structs.replace(statement, is_clean=True)
    assert not certificates.is_genuine(forged, certificate.signature, certificate.public_key)


async def test_an_archive_is_destroyed_when_the_law_lets_it_go(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await filled(own_installation)
    await run_job(own_context, (await requested(own_installation, tenant)).id)
    await find_expired_archives(own_context)
    query = "SELECT id FROM public.jobs WHERE kind = 'destroy_archive'"
    assert await rows(own_installation, query) == []
    await rows(own_installation, "UPDATE public.legal_archives SET keep_until = current_date - 1")
    await find_expired_archives(own_context)
    (job,) = await rows(own_installation, query)
    objects, secret = ObjectStore(own_context.settings), secret_keys(own_context.settings)
    sealed = await objects.get(f"legal-archive/{tenant.id}")
    for _ in range(2):
        assert isinstance(job["id"], UUID)
        await run_job(own_context, job["id"])
    async with platform_session(own_installation.pool) as session:
        assert (await legal_archive.get(session, tenant.id)).destroyed_at is not None
        await objects.put(f"legal-archive/{tenant.id}", sealed)  # a copy that somebody kept says nothing
        with pytest.raises(NotFound):
            await legal_archive.read(session, tenant.id, objects, secret, actor=SYSTEM, reason="a tax audit")
    actions = await rows(
        own_installation, "SELECT action FROM public.audit_log WHERE action LIKE 'legal_archive.%'"
    )
    assert [entry["action"] for entry in actions] == ["legal_archive.destroyed"]


async def test_a_finder_queues_what_is_due_once(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    due, waiting = await filled(own_installation), await filled(own_installation)
    job = await requested(own_installation, due)
    await requested(own_installation, waiting, days=1)
    await find_due_erasures(own_context)
    query = "SELECT id FROM public.jobs WHERE kind = 'erase_tenant' AND tenant_id = $1"
    assert [row["id"] for row in await rows(own_installation, query, due.id)] == [job.id]
    await rows(own_installation, "UPDATE public.jobs SET state = 'FAILED' WHERE kind = 'erase_tenant'")
    for _ in range(2):
        await find_due_erasures(own_context)
    (_, again) = await rows(own_installation, f"{query} ORDER BY created_at", due.id)
    assert isinstance(again["id"], UUID)
    await run_job(own_context, again["id"])
    await require_erased(own_installation, due)
    assert (await current(own_installation, waiting)).state is TenantState.SUSPENDED


async def test_the_ledger_is_copied_out_of_the_database(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await filled(own_installation)
    await run_job(own_context, (await requested(own_installation, tenant)).id)
    await mirror_ledger(own_context)
    async with platform_session(own_installation.pool, readonly=True) as session:
        kept = await deletion_ledger.entries(session)
    copies = await deletion_ledger.mirrored(ObjectStore(own_context.settings))
    assert len(kept) == 2
    assert {entry.digest for entry in kept} <= {entry.digest for entry in copies}


async def test_a_legal_hold_refuses_an_erasure_with_its_reason_and_again_when_the_job_begins(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await filled(own_installation)

    async def place() -> LegalHold:
        async with platform_session(own_installation.pool) as session:
            await tenants.lock(session, tenant.id)
            return await legal_holds.place(session, tenant.id, user_id=None, reason="claim 4711", by=uuid4())

    async def lift(hold: LegalHold) -> None:
        async with platform_session(own_installation.pool) as session:
            await legal_holds.lift(session, tenant.id, hold.id, reason="settled", by=uuid4())

    hold = await place()
    with pytest.raises(UnderLegalHold, match="claim 4711"):
        await requested(own_installation, tenant)
    await lift(hold)
    job = await requested(own_installation, tenant)
    hold = await place()
    await run_job(own_context, job.id)
    refused = await job_of(own_installation, job.id)
    assert refused.state is JobState.FAILED
    assert "claim 4711" in (refused.error or "")
    await find_due_erasures(own_context)
    query = "SELECT id FROM public.jobs WHERE kind = 'erase_tenant' ORDER BY created_at"
    assert [row["id"] for row in await rows(own_installation, query)] == [job.id]
    await lift(hold)
    await find_due_erasures(own_context)
    (_, again) = await rows(own_installation, query)
    assert isinstance(again["id"], UUID)
    await run_job(own_context, again["id"])
    await require_erased(own_installation, tenant)
