"""Invoices: what has not been billed yet becomes lines, net, VAT and total."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from core.errors import PeriodNotOver
from core.money import Money, to_cents, total
from core.period import Month, is_over
from core.resource import UNITS, Resource
from core.vat import vat_amount, vat_treatment

PAYMENT_TERM = timedelta(days=14)


class InvoiceState(StrEnum):
    """Where an invoice is in its life."""

    DRAFT = "DRAFT"
    ISSUED = "ISSUED"
    PAID = "PAID"
    VOID = "VOID"


class Unbilled(msgspec.Struct, frozen=True):
    """What one resource cost at one price in one month, as far as no invoice has billed it (six digits)."""

    month: str
    resource: Resource
    unit_price: Decimal
    quantity: Decimal
    amount: Decimal


class Party(msgspec.Struct, frozen=True):
    """A seller or buyer as an invoice names it."""

    name: str
    country: str
    vat_id: str | None = None


class InvoiceLine(msgspec.Struct, frozen=True):
    """One resource at one price; the amount is rounded half-up to cents, here and nowhere later."""

    position: int
    resource: Resource
    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    amount: Money


class InvoiceContent(msgspec.Struct, frozen=True):
    """All that an invoice says, apart from its number and dates."""

    month: str
    currency: str
    seller: Party
    buyer: Party
    lines: list[InvoiceLine]
    net: Money
    vat_rule: str
    vat_rate: Decimal
    vat: Money
    total: Money
    note: str


class Invoice(InvoiceContent, frozen=True, kw_only=True):
    """An invoice as it is kept; number and dates are set when it is issued."""

    id: UUID
    state: InvoiceState
    number: str | None
    issued_at: datetime | None
    due_on: date | None
    created_at: datetime


def require_month_over(month: Month, now: datetime, time_zone: str) -> None:
    """Refuse to invoice a month that still runs in the tenant's time zone: raises PeriodNotOver."""
    if not is_over(month.last_day, now, time_zone):
        raise PeriodNotOver(month=str(month))


def draft(
    unbilled: Sequence[Unbilled], *, month: Month, currency: str, seller: Party, buyer: Party
) -> InvoiceContent:
    """Make the invoice of a month out of all that is unbilled up to its end.

    Usage of an earlier month that arrived after that month's invoice is billed here, on lines that say so.
    """
    lines = [
        _line(position, item, month, currency)
        for position, item in enumerate(sorted(unbilled, key=_order), start=1)
    ]
    net = total(line.amount.amount for line in lines)
    treatment = vat_treatment(
        seller_country=seller.country, buyer_country=buyer.country, buyer_vat_id=buyer.vat_id
    )
    vat = vat_amount(net, treatment.rate)
    return InvoiceContent(
        month=str(month),
        currency=currency,
        seller=seller,
        buyer=buyer,
        lines=lines,
        net=Money(to_cents(net), currency),
        vat_rule=treatment.rule,
        vat_rate=treatment.rate,
        vat=Money(vat, currency),
        total=Money(total([to_cents(net), vat]), currency),
        note=treatment.note,
    )


def invoice_number(slug: str, *, year: int, sequence: int) -> str:
    """The number of a tenant's n-th invoice of a year."""
    return f"{slug.upper()}-{year:04d}-{sequence:05d}"


def _order(item: Unbilled) -> tuple[str, Resource, Decimal]:
    return item.month, item.resource, item.unit_price


def _line(position: int, item: Unbilled, month: Month, currency: str) -> InvoiceLine:
    late = "" if item.month == str(month) else f", late usage of {item.month}"
    return InvoiceLine(
        position=position,
        resource=item.resource,
        description=f"{item.resource} ({UNITS[item.resource]}){late}",
        quantity=item.quantity,
        unit=UNITS[item.resource],
        unit_price=item.unit_price,
        amount=Money(to_cents(item.amount), currency),
    )
