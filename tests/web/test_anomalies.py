"""Anomalies over HTTP: list and acknowledge."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from core.permission import Role
from core.tenant import Tenant, TenantState
from tests.events import on, used
from tests.installation import put_into, rows
from tests.web.client import Api, Caller, problem_of

STEADY = ("10", "11", "9", "10", "12", "8", "10")


async def detected(api: Api, tenant: Tenant) -> list[dict[str, Any]]:
    """Three anomalies, on the eighth, ninth and tenth of June."""
    quantities = (*STEADY, "30", "200", "2000")
    await used(
        api.installation,
        tenant,
        [on(date(2026, 6, number), quantity) for number, quantity in enumerate(quantities, start=1)],
    )
    found: list[dict[str, Any]] = (await (await api.as_(Role.VIEWER, tenant)).get("./anomalies")).json()[
        "items"
    ]
    assert [each["day"] for each in found] == ["2026-06-10", "2026-06-09", "2026-06-08"]
    return found


async def listed(caller: Caller, **query: str) -> list[dict[str, Any]]:
    return [anomaly async for anomaly in page_by_page(caller, **query)]


async def page_by_page(caller: Caller, **query: str) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        answer = await caller.get("./anomalies", params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        for anomaly in answer.json()["items"]:
            yield anomaly
        cursor = answer.json()["next_cursor"]


async def test_an_anomaly_says_what_was_expected(api: Api, tenant: Tenant) -> None:
    anomaly = (await detected(api, tenant))[-1]
    deviation = (10 / 6) ** 0.5
    assert (anomaly["resource"], anomaly["observed"], anomaly["severity"]) == ("cpu", "30", "high")
    assert anomaly["expected"] == pytest.approx(10)
    assert anomaly["expected_low"] == pytest.approx(10 - 2.5 * deviation)
    assert anomaly["expected_high"] == pytest.approx(10 + 2.5 * deviation)
    assert anomaly["z_score"] == pytest.approx(20 / deviation)
    assert (anomaly["acknowledged_at"], anomaly["acknowledged_by"], anomaly["note"]) == (None, None, None)


async def test_following_the_cursor_gives_every_anomaly_once_while_others_are_detected(
    api: Api, tenant: Tenant
) -> None:
    found, seen = await detected(api, tenant), []
    async for anomaly in page_by_page(await api.as_(Role.VIEWER, tenant), limit="1"):
        seen.append(anomaly)
        day = date(2026, 6, 10 + len(seen))  # later than any page that is still to come
        await used(api.installation, tenant, [on(day, str(10 ** (4 + len(seen))))])
    assert seen == found
    assert len(await listed(await api.as_(Role.VIEWER, tenant))) > len(found)


async def test_a_member_acknowledges_an_anomaly_once(api: Api, tenant: Tenant) -> None:
    found = await detected(api, tenant)
    member, other = await api.as_(Role.MEMBER, tenant), await api.as_(Role.MEMBER, tenant)
    path = f"./anomalies/{found[0]['id']}/acknowledge"
    first = await member.post(path, json={"note": "a load test"})
    assert first.status_code == 200
    assert (first.json()["acknowledged_by"], first.json()["note"]) == (str(member.account.id), "a load test")
    second = await other.post(path, json={"note": "something else"})
    assert second.json() == first.json(), "only the first one counts"
    viewer = await api.as_(Role.VIEWER, tenant)
    assert await listed(viewer, acknowledged="true") == [first.json()]
    assert await listed(viewer, acknowledged="false") == found[1:]
    query = "SELECT subject FROM audit_log WHERE chain = $1 AND actor_id = $2"
    audited = await rows(api.installation, query, tenant.chain, member.account.id)
    assert audited == [{"subject": f"anomaly:{found[0]['id']}"}]


@pytest.mark.parametrize("request_", [{}, {"json": {}}, {"json": {"note": None}}], ids=str)
async def test_a_note_may_be_left_out(api: Api, tenant: Tenant, request_: dict[str, Any]) -> None:
    anomaly, *_ = await detected(api, tenant)
    member = await api.as_(Role.MEMBER, tenant)
    answer = await member.post(f"./anomalies/{anomaly['id']}/acknowledge", **request_)
    assert (answer.status_code, answer.json()["note"]) == (200, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"note": "x" * 1_001}, "note"),
        ({"note": "a\x00b"}, "note"),
        ({"note": 1}, "note"),
        ({"colour": 1}, "colour"),
    ],
    ids=["long", "NUL", "number", "unknown"],
)
async def test_a_bad_note_is_refused_with_its_place(
    api: Api, tenant: Tenant, body: dict[str, object], field: str
) -> None:
    anomaly, *_ = await detected(api, tenant)
    member = await api.as_(Role.MEMBER, tenant)
    answer = await member.post(f"./anomalies/{anomaly['id']}/acknowledge", json=body)
    (error,) = problem_of(answer, 422)["errors"]
    assert field in f"{error['field']}: {error['detail']}"
    assert await listed(member, acknowledged="true") == []


async def test_an_unknown_anomaly_and_another_tenants_are_not_found(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    anomaly, *_ = await detected(api, other_tenant)
    member = await api.as_(Role.MEMBER, tenant)
    for anomaly_id in (uuid4(), anomaly["id"]):
        problem_of(await member.post(f"./anomalies/{anomaly_id}/acknowledge"), 404, "not-found")


async def test_a_suspended_tenants_anomalies_cannot_be_acknowledged(api: Api, tenant: Tenant) -> None:
    anomaly, *_ = await detected(api, tenant)
    member = await api.as_(Role.MEMBER, tenant)
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    answer = await member.post(f"./anomalies/{anomaly['id']}/acknowledge")
    problem_of(answer, 403, "tenant-not-writable")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"acknowledged": "perhaps"}, "acknowledged"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, tenant: Tenant, query: dict[str, str], field: str) -> None:
    viewer = await api.as_(Role.VIEWER, tenant)
    (error,) = problem_of(await viewer.get("./anomalies", params=query), 422)["errors"]
    assert error["field"] == field
