"""Invoicing a tenant's month."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.audit import SYSTEM, AuditEntry
from core.errors import TenantGone
from core.invoicing import require_month_over
from core.job import Job, JobKind
from core.period import Month, month_of, parse_month
from jobs.closing import close
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import invoices, jobs
from shell.announce import announce
from shell.audit import append_entry
from shell.queries import SQL
from shell.session import platform_session, tenant_session


async def invoice_tenant_month(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Close what is open, draft the month's invoice, and issue it; each step is committed and repeatable.

    Raises PeriodNotOver for a month that still runs.
    """
    tenant_id, month, now = tenant_of(job), parse_month(job.args["month"]), datetime.now(UTC)
    await close(context, tenant_id)
    await progress("draft", 0.3)
    async with tenant_session(context.pool, tenant_id=tenant_id) as session:
        require_month_over(month, now, session.tenant.time_zone)
        await invoices.draft_month(session, month, context.seller, now)
    await progress("issue", 0.6)
    async with tenant_session(context.pool, tenant_id=tenant_id) as session:
        invoice_id = await invoices.issue_month(session, month, context.seller, now)
        if invoice_id is not None:
            entry = AuditEntry(action="invoice.issued", subject=f"invoice:{invoice_id}", actor=SYSTEM)
            await append_entry(session, entry)


async def find_unbilled_months(context: WorkerContext) -> None:
    """Queue a job for each tenant whose last month is over, settled, used and not invoiced."""
    settled = datetime.now(UTC) - timedelta(hours=context.settings.invoice_delay_hours)
    async with platform_session(context.pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["tenants_to_close"])
    for row in rows:
        month = month_of(settled, row["time_zone"]).preceding
        if await _is_due(context, row["id"], month):
            await queue_invoice(context, row["id"], month)


async def queue_invoice(context: WorkerContext, tenant_id: UUID, month: Month) -> None:
    """Queue the invoice of a month, once."""
    async with platform_session(context.pool) as session:
        job = await jobs.enqueue(
            session,
            JobKind.INVOICE_MONTH,
            dedupe_key=f"{tenant_id}:{month}",
            tenant_id=tenant_id,
            args={"month": str(month)},
        )
    await announce(context.announcer, [job.id])


async def _is_due(context: WorkerContext, tenant_id: UUID, month: Month) -> bool:
    try:
        async with tenant_session(context.pool, tenant_id=tenant_id, readonly=True) as session:
            return not await invoices.is_invoiced(session, month) and await invoices.has_unbilled(
                session, month
            )
    except TenantGone:  # deleted since it was listed: the others must not wait for it
        return False
