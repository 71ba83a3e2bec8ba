"""A tenant's invoices: drafted, issued with the next number, never changed afterwards."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import NotFound
from core.invoicing import (
    PAYMENT_TERM,
    Invoice,
    InvoiceContent,
    InvoiceState,
    Party,
    Unbilled,
    draft,
    invoice_number,
)
from core.money import Money
from core.period import Month, local_day
from shell.queries import SQL
from shell.session import TenantSession
from shell.tables import Invoices

InvoiceKey = tuple[str, UUID]


class InvoiceSummary(msgspec.Struct, frozen=True):
    """An invoice without its lines and parties, as lists show it."""

    id: UUID
    month: str
    state: InvoiceState
    number: str | None
    currency: str
    net: Money
    vat: Money
    total: Money
    created_at: datetime
    issued_at: datetime | None
    due_on: date | None


async def preview(session: TenantSession, month: Month, seller: Party) -> InvoiceContent:
    """The invoice of a month as it would be now."""
    rows = await session.connection.fetch(SQL["unbilled_preview"], month.last_day)
    return _content(session, rows, month, seller)


async def draft_month(session: TenantSession, month: Month, seller: Party, now: datetime) -> UUID | None:
    """Draft the month's invoice from all that is unbilled, over any draft that a crash left behind.

    None where nothing is unbilled, or where the month's invoice was issued before.
    """
    await session.connection.execute(SQL["lock_costs"])
    kept = await session.connection.fetchrow(SQL["month_invoice"], str(month))
    if kept is not None and kept["state"] != InvoiceState.DRAFT:
        return None
    if kept is not None:
        await session.connection.execute(SQL["drop_draft"], kept["id"])
    rows = await session.connection.fetch(SQL["unbilled_costs"], month.last_day)
    content = _content(session, rows, month, seller)
    return await _insert(session, content, now) if content.lines else None


async def issue_month(session: TenantSession, month: Month, seller: Party, now: datetime) -> UUID | None:
    """Issue the month's invoice under the next number of the year; None where `draft_month` gives None.

    It bills what is unbilled at this moment. Lines, number and bill are one transaction, so no number is
    ever skipped, no cost billed twice, and no second invoice made.
    """
    invoice_id = await draft_month(session, month, seller, now)
    if invoice_id is None:
        return None
    year = local_day(now, session.tenant.time_zone).year
    sequence = await session.connection.fetchval(SQL["next_invoice_number"], year)
    number = invoice_number(session.tenant.slug, year=year, sequence=sequence)
    due_on = local_day(now + PAYMENT_TERM, session.tenant.time_zone)
    await session.connection.execute(SQL["bill_costs"], month.last_day)
    await session.connection.execute(SQL["issue_invoice"], invoice_id, number, now, due_on)
    return invoice_id


async def is_invoiced(session: TenantSession, month: Month) -> bool:
    """Whether the month has an invoice that was issued."""
    kept = await session.connection.fetchrow(SQL["month_invoice"], str(month))
    return kept is not None and kept["state"] != InvoiceState.DRAFT


async def has_unbilled(session: TenantSession, month: Month) -> bool:
    """Whether anything up to the end of the month is unbilled."""
    return bool(await session.connection.fetch(SQL["unbilled_preview"], month.last_day))


async def page(session: TenantSession, *, after: InvoiceKey | None, limit: int) -> list[InvoiceSummary]:
    """Invoices from the latest month, after a key; one more than `limit`, where there are more."""
    columns = [getattr(Invoices, field) for field in InvoiceSummary.__struct_fields__]
    query = Invoices.select(*columns).order_by(Invoices.month, Invoices.id, ascending=False)
    if after is not None:
        month, invoice_id = after
        earlier = (Invoices.month == month) & (Invoices.id < invoice_id)
        query = query.where((Invoices.month < month) | earlier)
    return [
        msgspec.convert(_with_money(row), InvoiceSummary) for row in await session.run(query.limit(limit + 1))
    ]


async def get(session: TenantSession, invoice_id: UUID) -> Invoice:
    """The invoice with this id and its lines; raises NotFound."""
    rows = await session.run(Invoices.select().where(Invoices.id == invoice_id))
    if not rows:
        raise NotFound(what="invoice")
    row = rows[0]
    lines = await session.connection.fetch(SQL["invoice_lines"], invoice_id)
    row["seller"] = msgspec.json.decode(row["seller"])
    row["buyer"] = msgspec.json.decode(row["buyer"])
    currency = row["currency"]
    row["lines"] = [{**line, "amount": Money(line["amount"], currency)} for line in lines]
    return msgspec.convert(_with_money(row), Invoice)


def _with_money(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: Money(row[name], row["currency"]) for name in ("net", "vat", "total")}


def _content(
    session: TenantSession, rows: Sequence[asyncpg.Record], month: Month, seller: Party
) -> InvoiceContent:
    tenant = session.tenant
    return draft(
        [msgspec.convert(dict(row), Unbilled) for row in rows],
        month=month,
        currency=tenant.currency,
        seller=seller,
        buyer=Party(tenant.name, tenant.country, tenant.vat_id),
    )


async def _insert(session: TenantSession, content: InvoiceContent, now: datetime) -> UUID:
    invoice_id = uuid4()
    await session.connection.execute(
        SQL["insert_draft"],
        invoice_id, content.month, content.currency, _json(content.seller), _json(content.buyer),
        content.net.amount, content.vat_rule, content.vat_rate, content.vat.amount, content.total.amount,
        content.note, now,
    )  # fmt: skip
    lines = [{**msgspec.structs.asdict(line), "amount": line.amount.amount} for line in content.lines]
    await session.connection.execute(SQL["insert_lines"], invoice_id, _json(lines))
    return invoice_id


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
