"""Prices over HTTP: default ones, and those agreed with a tenant."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from core.permission import Role
from core.tenant import Tenant
from tests.installation import rows
from tests.web.client import Api, problem_of

TODAY = datetime.now(UTC).date()


def price(**fields: object) -> dict[str, object]:
    day = (TODAY + timedelta(days=1)).isoformat()
    return {"resource": "cpu", "unit_price": "0.015", "effective_from": day} | fields


def far_day() -> str:
    """A day of which no other test sets a default price: those are for all tenants, and for ever."""
    return date.fromordinal(TODAY.toordinal() + 400_000 + uuid4().int % 1_000_000).isoformat()


async def test_everybody_reads_the_default_prices(api: Api, tenant: Tenant) -> None:
    answer = await (await api.as_(Role.VIEWER, tenant)).get("/prices")
    assert answer.status_code == 200
    default = {
        item["resource"]: item["unit_price"]
        for item in answer.json()["items"]
        if item["effective_from"] == "1972-01-01"
    }
    assert default == {
        "api_calls": "0.0001", "cpu": "0.02", "memory": "0.005", "network": "0.001", "storage": "0.01",
    }  # fmt: skip


async def test_an_operator_agrees_a_price_with_a_tenant(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    operator = await api.operator()
    answer = await operator.post(f"/tenants/{tenant.id}/prices", json=price())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert price().items() <= made.items()
    assert (made["tenant_id"], made["currency"]) == (str(tenant.id), "EUR")
    listed = (await (await api.as_(Role.VIEWER, tenant)).get("./prices")).json()
    assert listed["items"] == [made]
    assert len(listed["default"]) >= 5
    assert (await (await api.as_(Role.VIEWER, other_tenant)).get("./prices")).json()["items"] == []
    query = "SELECT actor_id, details FROM audit_log WHERE subject = $1 AND action = 'price.set'"
    (entry,) = await rows(api.installation, query, f"tenant:{tenant.id}")
    assert entry["actor_id"] == operator.account.id
    assert '"unit_price":"0.015"' in str(entry["details"])


async def test_an_operator_sets_a_default_price(api: Api) -> None:
    operator, body = await api.operator(), price(effective_from=far_day())
    answer = await operator.post("/prices", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["tenant_id"] is None
    assert answer.json() in (await operator.get("/prices")).json()["items"]


async def test_two_prices_cannot_take_effect_on_one_day(api: Api, tenant: Tenant) -> None:
    operator = await api.operator()
    for path, body in (
        (f"/tenants/{tenant.id}/prices", price()),
        ("/prices", price(effective_from=far_day())),
    ):
        assert (await operator.post(path, json=body)).status_code == 201
        again = await operator.post(path, json=body | {"unit_price": "9"})
        problem_of(again, 409, "price-exists")


@pytest.mark.parametrize("days", [0, -1, -1_000])
async def test_a_price_cannot_take_effect_today_or_earlier(api: Api, tenant: Tenant, days: int) -> None:
    body = price(effective_from=(TODAY + timedelta(days=days)).isoformat())
    answer = await (await api.operator()).post(f"/tenants/{tenant.id}/prices", json=body)
    problem_of(answer, 422, "price-in-the-past")


@pytest.mark.parametrize("unit_price", ["0", "0.000000000001", "999999.999999999999", 0.5, 1])
async def test_a_price_may_be_a_text_or_a_number(api: Api, tenant: Tenant, unit_price: object) -> None:
    body = price(unit_price=unit_price)
    answer = await (await api.operator()).post(f"/tenants/{tenant.id}/prices", json=body)
    assert answer.status_code == 201, answer.text
    assert Decimal(answer.json()["unit_price"]) == Decimal(str(unit_price))


BAD_UNIT_PRICES: list[object] = [
    "-1", "NaN", "Infinity", "1" * 40, "1000000", "0.0000000000001", "much", None, [],
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({"unit_price": unit_price}, "unit_price") for unit_price in BAD_UNIT_PRICES),
        ({"resource": "gpu"}, "resource"),
        ({"effective_from": "tomorrow"}, "effective_from"),
        ({"effective_from": "2026-02-30"}, "effective_from"),
        ({"effective_from": None}, "effective_from"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_a_bad_price_is_refused_with_its_place(
    api: Api, tenant: Tenant, change: dict[str, object], field: str
) -> None:
    operator = await api.operator()
    for path in ("/prices", f"/tenants/{tenant.id}/prices"):
        (error,) = problem_of(await operator.post(path, json=price() | change), 422)["errors"]
        assert field in f"{error['field']}: {error['detail']}"
    assert not await rows(api.installation, "SELECT FROM prices WHERE tenant_id = $1", tenant.id)


async def test_an_unknown_tenant_is_not_found(api: Api) -> None:
    operator = await api.operator()
    problem_of(await operator.post(f"/tenants/{uuid4()}/prices", json=price()), 404, "not-found")
    problem_of(await operator.get(f"/tenants/{uuid4()}/prices"), 404, "not-found")
