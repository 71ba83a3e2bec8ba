"""Invoices over HTTP: list, detail, and a preview of the running month."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from core.invoicing import Party
from core.period import Month, local_day, month_of_day
from core.permission import Role
from core.tenant import Tenant
from shell import invoices
from shell.session import tenant_session
from tests.events import on, used
from tests.web.client import Api, problem_of

SELLER = Party("EU Platform GmbH", "DE", "DE999999999")
TODAY = local_day(datetime.now(UTC), "Europe/Berlin")


async def issue(api: Api, tenant: Tenant, *months: Month) -> None:
    for month in months:
        await used(api.installation, tenant, [on(month.first_day, "100")])
        async with tenant_session(api.installation.pool, tenant_id=tenant.id) as session:
            assert await invoices.issue_month(session, month, SELLER, datetime.now(UTC))


async def test_an_invoice_is_read_with_its_lines(api: Api, tenant: Tenant) -> None:
    await issue(api, tenant, Month(2026, 6))
    viewer = await api.as_(Role.VIEWER, tenant)
    (summary,) = (await viewer.get("./invoices")).json()["items"]
    answer = await viewer.get(f"./invoices/{summary['id']}")
    assert answer.status_code == 200
    invoice = answer.json()
    assert summary.items() <= invoice.items()
    assert (invoice["state"], invoice["month"]) == ("ISSUED", "2026-06")
    assert invoice["number"] == f"{tenant.slug.upper()}-{TODAY.year}-00001"
    assert invoice["lines"] == [
        {
            "position": 1,
            "resource": "cpu",
            "description": "cpu (vCPU-hour)",
            "quantity": "100",
            "unit": "vCPU-hour",
            "unit_price": "0.02",
            "amount": {"amount": "2.00", "currency": "EUR"},
        }
    ]
    amounts = [invoice[name]["amount"] for name in ("net", "vat", "total")]
    assert amounts == ["2.00", "0.38", "2.38"]
    assert invoice["buyer"] == {"name": "Acme GmbH", "country": "DE", "vat_id": None}


async def test_following_the_cursor_gives_every_invoice_once_the_latest_month_first(
    api: Api, tenant: Tenant
) -> None:
    months = [Month(2026, number) for number in range(1, 7)]
    await issue(api, tenant, *months)
    viewer = await api.as_(Role.VIEWER, tenant)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await viewer.get("./invoices", params=query)).json()
        seen += [each["month"] for each in page["items"]]
        if len(seen) == 2:
            await issue(api, tenant, Month(2026, 7))  # comes before the page that was read
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [str(month) for month in reversed(months)]


async def test_the_preview_shows_the_running_month_as_it_would_be_billed(api: Api, tenant: Tenant) -> None:
    month = month_of_day(TODAY)
    await used(api.installation, tenant, [on(month.first_day, "100"), on(month.preceding.last_day, "50")])
    preview = (await (await api.as_(Role.VIEWER, tenant)).get("./invoices/preview")).json()
    assert preview["month"] == str(month)
    assert [line["description"] for line in preview["lines"]] == [
        f"cpu (vCPU-hour), late usage of {month.preceding}",
        "cpu (vCPU-hour)",
    ]
    assert Decimal(preview["net"]["amount"]) == 3
    assert (await (await api.as_(Role.VIEWER, tenant)).get("./invoices")).json()["items"] == []


async def test_the_preview_of_a_month_without_usage_is_empty(api: Api, tenant: Tenant) -> None:
    preview = (await (await api.as_(Role.VIEWER, tenant)).get("./invoices/preview")).json()
    assert (preview["lines"], preview["total"]) == ([], {"amount": "0.00", "currency": "EUR"})


async def test_an_unknown_invoice_and_another_tenants_are_not_found(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    await issue(api, other_tenant, Month(2026, 6))
    owner = await api.as_(Role.OWNER, tenant)
    (theirs,) = (await (await api.as_(Role.OWNER, other_tenant)).get("./invoices")).json()["items"]
    for invoice_id in (uuid4(), theirs["id"]):
        problem_of(await owner.get(f"./invoices/{invoice_id}"), 404, "not-found")
    problem_of(await owner.get(f"/tenants/{other_tenant.id}/invoices/{theirs['id']}"), 404, "not-found")
    problem_of(await owner.get("./invoices/no-id"), 404, "not-found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WyJhIiwiYiJd"}, "cursor"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, tenant: Tenant, query: dict[str, str], field: str) -> None:
    viewer = await api.as_(Role.VIEWER, tenant)
    (error,) = problem_of(await viewer.get("./invoices", params=query), 422)["errors"]
    assert error["field"] == field
