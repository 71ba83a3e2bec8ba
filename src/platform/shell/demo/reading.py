"""What a tenant sees of its own usage: costs, anomalies and an invoice, read over HTTP."""

from datetime import date
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from core.costing import CostRecord
from core.cursor import MAX_LIMIT
from core.errors import NotFound
from core.invoicing import Invoice
from core.money import total
from core.period import Month
from core.resource import UNITS, Resource
from core.tenant import Tenant
from shell.anomalies import Anomaly
from shell.api_client import ApiClient
from shell.invoices import InvoiceSummary

Item = TypeVar("Item")


class ResourceUse(msgspec.Struct, frozen=True):
    """How much of a resource was used in a month, on how many days, and what it costs, to six digits."""

    resource: Resource
    unit: str
    days: int
    quantity: Decimal
    cost: Decimal


class Findings(msgspec.Struct, frozen=True):
    """All that the report says about one tenant."""

    tenant: Tenant
    month: Month
    uses: list[ResourceUse]
    anomalies: list[Anomaly]
    invoice: Invoice


def read_findings(client: ApiClient, tenant: Tenant, month: Month) -> Findings:
    """What a tenant sees that the client is logged in for; raises NotFound where a month has no invoice."""
    path = f"/api/v1/tenants/{tenant.id}"
    days = {"from": month.first_day, "to": month.last_day}
    records = _all(client, f"{path}/costs", CostRecord, **days)
    return Findings(
        tenant=tenant,
        month=month,
        uses=[_use(resource, records) for resource in sorted({record.resource for record in records})],
        anomalies=sorted(_all(client, f"{path}/anomalies", Anomaly), key=_day_and_resource),
        invoice=_invoice(client, path, month),
    )


def _day_and_resource(anomaly: Anomaly) -> tuple[date, Resource]:
    return anomaly.day, anomaly.resource


def _use(resource: Resource, records: list[CostRecord]) -> ResourceUse:
    own = [record for record in records if record.resource is resource]
    return ResourceUse(
        resource=resource,
        unit=UNITS[resource],
        days=len(own),
        quantity=total(record.quantity for record in own),
        cost=total(record.cost.amount for record in own),
    )


def _invoice(client: ApiClient, path: str, month: Month) -> Invoice:
    for listed in _all(client, f"{path}/invoices", InvoiceSummary):
        if listed.month == str(month) and listed.number is not None:
            return msgspec.convert(client.get(f"{path}/invoices/{listed.id}"), Invoice)
    raise NotFound(what=f"invoice of {month}")


def _all(client: ApiClient, path: str, kind: type[Item], **query: object) -> list[Item]:
    """All pages of a list."""
    items: list[Item] = []
    asked: dict[str, object] = {**query, "limit": MAX_LIMIT}
    while True:
        page = client.get(f"{path}?{urlencode(asked)}")
        items += [msgspec.convert(item, kind) for item in page["items"]]
        if page["next_cursor"] is None:
            return items
        asked["cursor"] = page["next_cursor"]
