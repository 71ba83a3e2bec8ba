"""The job that invoices a month, and the finder that queues it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core.errors import PeriodNotOver
from core.invoicing import InvoiceState
from core.job import JobKind, JobState
from core.period import Month, month_of
from core.tenant import Tenant
from jobs.context import WorkerContext
from jobs.invoicing import find_unbilled_months, invoice_tenant_month, queue_invoice
from jobs.runner import run_job
from shell import invoices
from shell.invoices import InvoiceSummary
from shell.session import tenant_session
from tests.events import on, store
from tests.installation import Installation, found, job_of, queued, rows
from tests.jobs.crash import Crash, Crashing

THIS_MONTH = month_of(datetime.now(UTC), "Europe/Berlin")
LAST_MONTH = THIS_MONTH.preceding
SETTLED = month_of(datetime.now(UTC) - timedelta(hours=24), "Europe/Berlin").preceding
"""The last month that was over a day ago."""


async def invoices_of(installation: Installation, tenant: Tenant) -> list[InvoiceSummary]:
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        return await invoices.page(session, after=None, limit=100)


async def audited(installation: Installation, tenant: Tenant) -> list[object]:
    query = "SELECT subject FROM audit_log WHERE chain = $1 AND action = 'invoice.issued'"
    return [row["subject"] for row in await rows(installation, query, tenant.chain)]


async def open_jobs(installation: Installation, tenant: Tenant) -> list[object]:
    query = "SELECT args->>'month' AS month FROM jobs WHERE tenant_id = $1 AND state = 'QUEUED' ORDER BY 1"
    return [row["month"] for row in await rows(installation, query, tenant.id)]


def delayed(context: WorkerContext, *, hours: int) -> WorkerContext:
    settings = msgspec.structs.replace(context.settings, invoice_delay_hours=hours)
    return msgspec.structs.replace(context, settings=settings)


async def test_the_job_closes_the_days_and_issues_the_invoice(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    await store(installation, tenant, on(LAST_MONTH.first_day, "100"), on(LAST_MONTH.last_day, "50"))
    job = await queued(installation, JobKind.INVOICE_MONTH, tenant, month=str(LAST_MONTH))
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE
    (invoice,) = await invoices_of(installation, tenant)
    assert (invoice.state, invoice.month, str(invoice.net.amount)) == (
        InvoiceState.ISSUED,
        str(LAST_MONTH),
        "3.00",
    )
    assert await audited(installation, tenant) == [f"invoice:{invoice.id}"]


@pytest.mark.parametrize("step", ["draft", "issue"])
async def test_the_job_is_resumed_after_a_crash_at_any_step(
    installation: Installation, context: WorkerContext, tenant: Tenant, step: str
) -> None:
    await store(installation, tenant, on(LAST_MONTH.first_day, "100"))
    job = await queued(installation, JobKind.INVOICE_MONTH, tenant, month=str(LAST_MONTH))
    with pytest.raises(Crash):
        await invoice_tenant_month(context, job, Crashing(context, step))
    assert [invoice.number for invoice in await invoices_of(installation, tenant)] in ([], [None])
    await run_job(context, job.id)
    (invoice,) = await invoices_of(installation, tenant)
    assert invoice.number is not None
    assert invoice.number.endswith("-00001")
    assert len(await audited(installation, tenant)) == 1


async def test_a_month_that_is_asked_for_again_is_not_invoiced_again(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    await store(installation, tenant, on(LAST_MONTH.first_day, "100"))
    for source in ("late-1", "late-2", "late-3"):
        job = await queued(installation, JobKind.INVOICE_MONTH, tenant, month=str(LAST_MONTH))
        await run_job(context, job.id)
        assert (await job_of(installation, job.id)).state is JobState.DONE
        await store(installation, tenant, on(LAST_MONTH.first_day, "1", source=source))
    assert len(await invoices_of(installation, tenant)) == 1
    assert len(await audited(installation, tenant)) == 1


async def test_a_month_that_still_runs_is_not_invoiced_and_not_tried_again(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    await store(installation, tenant, on(THIS_MONTH.first_day, "100"))
    job = await queued(installation, JobKind.INVOICE_MONTH, tenant, month=str(THIS_MONTH))
    await run_job(context, job.id)
    failed = await job_of(installation, job.id)
    assert (failed.state, failed.error) == (JobState.FAILED, str(PeriodNotOver(month=str(THIS_MONTH))))
    assert await invoices_of(installation, tenant) == []


async def test_a_month_without_usage_is_done_without_an_invoice(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await queued(installation, JobKind.INVOICE_MONTH, tenant, month=str(LAST_MONTH))
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE
    assert await invoices_of(installation, tenant) == []
    assert await audited(installation, tenant) == []


async def test_a_month_is_queued_once(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    for _ in range(3):
        await queue_invoice(context, tenant.id, Month(2026, 5))
    await queue_invoice(context, tenant.id, Month(2026, 6))
    assert await open_jobs(installation, tenant) == ["2026-05", "2026-06"]


async def test_the_finder_queues_the_last_month_of_tenants_that_have_used_something(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    used, idle, invoiced = [await found(own_installation) for _ in range(3)]
    for tenant in (used, invoiced):
        await store(own_installation, tenant, on(SETTLED.first_day, "100"))
        await run_job(own_context, (await queued(own_installation, JobKind.CLOSE_DAYS, tenant)).id)
    done = await queued(own_installation, JobKind.INVOICE_MONTH, invoiced, month=str(SETTLED))
    await run_job(own_context, done.id)
    for _ in range(2):
        await find_unbilled_months(own_context)
    assert await open_jobs(own_installation, used) == [str(SETTLED)]
    assert await open_jobs(own_installation, idle) == []
    assert await open_jobs(own_installation, invoiced) == []


async def test_the_finder_waits_until_late_usage_has_had_time_to_arrive(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    await store(own_installation, tenant, on(LAST_MONTH.last_day, "100"))
    await run_job(own_context, (await queued(own_installation, JobKind.CLOSE_DAYS, tenant)).id)
    await find_unbilled_months(delayed(own_context, hours=24 * 32))
    assert await open_jobs(own_installation, tenant) == []
    await find_unbilled_months(delayed(own_context, hours=0))
    assert await open_jobs(own_installation, tenant) == [str(LAST_MONTH)]
