"""Costs over HTTP: day by day, this month, and at its end."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.period import local_day, month_of_day
from core.permission import Role
from core.resource import Resource
from core.tenant import Tenant
from tests.events import on, used
from tests.web.client import Api, problem_of

TODAY = local_day(datetime.now(UTC), "Europe/Berlin")
EUR = "EUR"


async def test_following_the_cursor_gives_every_record_once_while_others_are_made(
    api: Api, tenant: Tenant
) -> None:
    both = (Resource.CPU, Resource.NETWORK)
    days = [date(2026, 6, number) for number in range(1, 6)]
    await used(api.installation, tenant, [on(day, "2.5", resource=each) for day in days for each in both])
    viewer = await api.as_(Role.VIEWER, tenant)
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await viewer.get("./costs", params=query)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        before = on(date(2026, 5, len(seen)), "1")  # on a page that was read: no later one is moved by it
        await used(api.installation, tenant, [before])
    assert [(each["day"], each["resource"]) for each in seen] == [
        (day.isoformat(), each.value) for day in days for each in both
    ]
    assert seen[0] | {"price_id": None} == {
        "day": "2026-06-01",
        "resource": "cpu",
        "quantity": "2.5",
        "unit_price": "0.02",
        "price_id": None,
        "cost": {"amount": "0.050000", "currency": EUR},
    }


async def test_a_list_can_be_narrowed(api: Api, tenant: Tenant) -> None:
    both = (Resource.CPU, Resource.NETWORK)
    days = [date(2026, 6, number) for number in range(1, 6)]
    await used(api.installation, tenant, [on(day, "1", resource=each) for day in days for each in both])
    viewer = await api.as_(Role.VIEWER, tenant)
    query = {"from": "2026-06-02", "to": "2026-06-03", "resource": "cpu"}
    page = (await viewer.get("./costs", params=query)).json()
    assert [each["day"] for each in page["items"]] == ["2026-06-02", "2026-06-03"]


async def test_this_month_so_far_and_at_its_end(api: Api, tenant: Tenant) -> None:
    month = month_of_day(TODAY)
    days = [month.first_day + timedelta(days=offset) for offset in range(TODAY.day)]
    await used(api.installation, tenant, [on(day, "100") for day in days])
    viewer = await api.as_(Role.VIEWER, tenant)
    current = (await viewer.get("./costs/current")).json()
    assert (current["month"], current["up_to"]) == (str(month), TODAY.isoformat())
    assert Decimal(current["total"]["amount"]) == 2 * len(days)
    (cpu,) = current["resources"]
    assert (cpu["resource"], cpu["unit"]) == ("cpu", "vCPU-hour")
    assert Decimal(cpu["quantity"]) == 100 * len(days)
    projection = (await viewer.get("./costs/projection")).json()
    assert (projection["month"], projection["days_in_month"]) == (str(month), month.days)
    assert Decimal(projection["so_far"]["amount"]) == 2 * len(days)


async def test_without_usage_nothing_costs_anything(api: Api, tenant: Tenant) -> None:
    viewer = await api.as_(Role.VIEWER, tenant)
    zero = {"amount": "0.00", "currency": EUR}
    current = (await viewer.get("./costs/current")).json()
    assert (current["total"], current["resources"], current["up_to"]) == (zero, [], None)
    projection = (await viewer.get("./costs/projection")).json()
    assert (projection["so_far"], projection["projected"]) == (zero, zero)
    assert (await viewer.get("./costs")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"resource": "gpu"}, "resource"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WyJhIiwiYiJd"}, "cursor"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, tenant: Tenant, query: dict[str, str], field: str) -> None:
    viewer = await api.as_(Role.VIEWER, tenant)
    (error,) = problem_of(await viewer.get("./costs", params=query), 422)["errors"]
    assert error["field"] == field
