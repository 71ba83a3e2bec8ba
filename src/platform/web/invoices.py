"""Invoices: list, detail, and a preview of the running month."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from core.cursor import decode_cursor
from core.invoicing import Invoice, InvoiceContent
from core.period import month_of
from core.permission import Permission
from shell import invoices
from shell.invoices import InvoiceSummary
from shell.session import reading, tenant_session
from web.guards import may
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.services import Services


@get(
    "/invoices",
    operation_id="listInvoices",
    summary="List invoices",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_invoices(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[InvoiceSummary]:
    """Invoices, the latest month first."""
    after = decode_cursor(cursor, tuple[str, UUID]) if cursor else None
    found = await reading(
        services.pool, tenant_id, lambda session: invoices.page(session, after=after, limit=limit)
    )
    return page_of(found, limit, lambda invoice: (invoice.month, invoice.id))


@get(
    "/invoices/preview",
    operation_id="previewInvoice",
    summary="Preview this month's invoice",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def preview_invoice(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> InvoiceContent:
    """The invoice of the running month as it would be now: everything that no invoice has billed yet."""
    now = datetime.now(UTC)
    return await reading(
        services.pool,
        tenant_id,
        lambda session: invoices.preview(session, month_of(now, session.tenant.time_zone), services.seller),
    )


@get(
    "/invoices/{invoice_id:uuid}",
    operation_id="getInvoice",
    summary="Read an invoice",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def get_invoice(
    tenant_id: FromPath[UUID], invoice_id: FromPath[UUID], services: NamedDependency[Services]
) -> Invoice:
    """One invoice with its lines."""
    async with tenant_session(services.pool, tenant_id=tenant_id, readonly=True) as session:
        return await invoices.get(session, invoice_id)


invoices_router = Router("/", route_handlers=[list_invoices, preview_invoice, get_invoice], tags=["Invoices"])
