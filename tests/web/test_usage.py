"""Recording usage over HTTP: good events once, bad ones never, and each error with its place."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from core.permission import Role
from core.tenant import Tenant, TenantState
from core.usage import MAX_BODY_BYTES, MAX_EVENTS
from tests.events import sent
from tests.installation import found, put_into, register, rows
from tests.web.client import Api, Caller, problem_of

CLOUD = {"Content-Type": "application/cloudevents-batch+json"}
JSON = {"Content-Type": "application/json"}
LENIENT = {"Prefer": "handling=lenient"}


@pytest_asyncio.fixture
async def machine(api: Api, tenant: Tenant) -> Caller:
    """A caller that may record usage of its tenant."""
    return await api.as_(Role.MEMBER, tenant)


@pytest_asyncio.fixture(scope="module")
async def refused(api: Api) -> Caller:
    """A machine of a tenant in which nothing is ever stored."""
    return await api.as_(Role.MEMBER, await found(api.installation))


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def cloud(event_id: str, **fields: Any) -> dict[str, Any]:
    defaults = {
        "specversion": "1.0",
        "source": "vm-1",
        "type": "usage.cpu",
        "time": ago(minutes=5),
        "data": {"quantity": "1.5"},
    }
    return {"id": event_id} | defaults | fields


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in sent("bad").items() if key != name}


async def stored(api: Api, tenant: Tenant | None) -> dict[object, object]:
    assert tenant is not None
    query = f"SELECT id, quantity FROM {tenant.schema}.usage_events"
    return {row["id"]: row["quantity"] for row in await rows(api.installation, query)}


async def require_nothing_stored(api: Api, caller: Caller) -> None:
    assert caller.tenant is not None
    for table in ("usage_events", "usage_batches"):
        assert not await rows(api.installation, f"SELECT FROM {caller.tenant.schema}.{table}")


# --- what is stored -------------------------------------------------------------------------------


async def test_a_batch_is_stored_when_it_is_answered(api: Api, machine: Caller) -> None:
    answer = await machine.post("./usage", json=[sent("one"), sent("two", quantity=0.25)])
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "duplicates": 0, "rejected": []})
    assert await stored(api, machine.tenant) == {"one": Decimal("1.5"), "two": Decimal("0.25")}


async def test_a_batch_that_is_sent_again_counts_once(api: Api, machine: Caller) -> None:
    batch = [sent("one"), sent("two")]
    await machine.post("./usage", json=batch)
    answer = await machine.post("./usage", json=[*batch, sent("three"), sent("three", quantity="9")])
    assert answer.json() == {"accepted": 1, "duplicates": 3, "rejected": []}
    assert set(await stored(api, machine.tenant)) == {"one", "two", "three"}


@pytest.mark.parametrize(
    "quantity",
    ["0", 0, "0.000000000001", "999999999999999.999999999999", 1e3, "1E+3", 12345678901234, "-0"],
)
async def test_a_quantity_may_be_a_text_or_a_number(api: Api, machine: Caller, quantity: object) -> None:
    answer = await machine.post("./usage", json=[sent("one", quantity=quantity)])
    assert answer.status_code == 200, answer.text
    assert await stored(api, machine.tenant) == {"one": Decimal(str(quantity))}


async def test_a_number_keeps_every_digit_that_was_sent(api: Api, machine: Caller) -> None:
    body = json.dumps([sent("one", quantity=7)]).replace(": 7,", ": 123456789012345.123456789012,")
    assert (await machine.post("./usage", content=body, headers=JSON)).status_code == 200
    assert await stored(api, machine.tenant) == {"one": Decimal("123456789012345.123456789012")}


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON ; x=y"],
)
async def test_json_may_be_said_in_many_ways(machine: Caller, media_type: str) -> None:
    body = json.dumps([sent("one")])
    answer = await machine.post("./usage", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 200


async def test_ten_clients_that_send_the_same_batch_at_once_in_any_order_count_once(
    api: Api, machine: Caller
) -> None:
    chance = random.Random(20261123)
    batch = [sent(f"{number:03d}", source=f"vm-{number % 7}") for number in range(300)]
    shuffled = [chance.sample(batch, len(batch)) for _ in range(10)]
    answers = await asyncio.gather(*(machine.post("./usage", json=events) for events in shuffled))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert sum(answer.json()["accepted"] for answer in answers) == 300
    assert sum(answer.json()["duplicates"] for answer in answers) == 2_700
    assert len(await stored(api, machine.tenant)) == 300


async def test_batches_that_overlap_in_part_never_block_each_other(api: Api, machine: Caller) -> None:
    chance = random.Random(7)
    events = [sent(f"{number:03d}") for number in range(100)]
    batches = [chance.sample(events, 60) for _ in range(20)]
    answers = await asyncio.gather(*(machine.post("./usage", json=batch) for batch in batches))
    assert {answer.status_code for answer in answers} == {200}
    union = {event["id"] for batch in batches for event in batch}
    assert set(await stored(api, machine.tenant)) == union
    assert sum(answer.json()["accepted"] for answer in answers) == len(union)


async def test_the_largest_batch_is_taken(api: Api, machine: Caller) -> None:
    batch = [sent(str(number)) for number in range(MAX_EVENTS)]
    answer = await machine.post("./usage", json=batch)
    assert answer.json()["accepted"] == MAX_EVENTS
    assert len(await stored(api, machine.tenant)) == MAX_EVENTS


async def test_attributes_come_back_as_they_were_sent(machine: Caller) -> None:
    attributes = {"zone": "eu-1", "nested": {"list": [1, 2.5, None, True, "é\\u0000"]}}
    answer = await machine.post("./usage", json=[sent("one", attributes=attributes)])
    assert answer.status_code == 200, answer.text
    (event,) = (await machine.get("./usage")).json()["items"]
    assert event["attributes"] == attributes


# --- CloudEvents ----------------------------------------------------------------------------------


async def test_cloud_events_are_the_same_usage(api: Api, machine: Caller) -> None:
    body = json.dumps([cloud("one"), cloud("two", type="usage.api_calls", subject="more", dataschema="x")])
    answer = await machine.post("./usage", content=body, headers=CLOUD)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    again = await machine.post("./usage", json=[sent("one")])
    assert again.json() == {"accepted": 0, "duplicates": 1, "rejected": []}
    assert set(await stored(api, machine.tenant)) == {"one", "two"}


@pytest.mark.parametrize(
    ("event", "place"),
    [
        (cloud("bad", specversion="0.3"), "specversion"),
        (cloud("bad", type="usage.gpu"), "type"),
        (cloud("bad", type="cpu"), "type"),
        (cloud("bad", time="2026-11-23T10:00:00"), "time"),
        (cloud("bad", data={"quantity": "-1"}), "quantity"),
        (cloud("bad", data={}), "data"),
        (cloud("bad", data=None), "data"),
        (cloud("bad", id=""), "id"),
    ],
)
async def test_a_bad_cloud_event_is_refused_with_its_place(
    api: Api, refused: Caller, event: dict[str, Any], place: str
) -> None:
    answer = await refused.post("./usage", content=json.dumps([cloud("good"), event]), headers=CLOUD)
    (error,) = problem_of(answer, 422)["errors"]
    assert (error["index"], error["detail"].partition(":")[0].partition(".")[0]) == (1, place)
    await require_nothing_stored(api, refused)


async def test_plain_events_are_no_cloud_events(api: Api, refused: Caller) -> None:
    answer = await refused.post("./usage", content=json.dumps([sent("one")]), headers=CLOUD)
    assert problem_of(answer, 422)["errors"][0]["index"] == 0
    await require_nothing_stored(api, refused)


# --- bad input ------------------------------------------------------------------------------------

BAD_EVENTS: list[tuple[Any, str]] = [
    (sent("bad", quantity="-1"), "quantity"),
    (sent("bad", quantity=-0.5), "quantity"),
    (sent("bad", quantity="NaN"), "quantity"),
    (sent("bad", quantity="Infinity"), "quantity"),
    (sent("bad", quantity="-Infinity"), "quantity"),
    (sent("bad", quantity="sNaN"), "quantity"),
    (sent("bad", quantity="1" * 40), "quantity"),
    (sent("bad", quantity="1e40"), "quantity"),
    (sent("bad", quantity="1e999999999"), "quantity"),
    (sent("bad", quantity=10**15), "quantity"),
    (sent("bad", quantity="0.0000000000001"), "quantity"),
    (sent("bad", quantity="much"), "quantity"),
    (sent("bad", quantity=""), "quantity"),
    (sent("bad", quantity=None), "quantity"),
    (sent("bad", quantity=True), "quantity"),
    (sent("bad", quantity=[1]), "quantity"),
    (sent("bad", resource="gpu"), "resource"),
    (sent("bad", resource="CPU"), "resource"),
    (sent("bad", resource=1), "resource"),
    (sent("bad", occurred_at=ago(days=36)), "occurred_at"),
    (sent("bad", occurred_at=ago(days=4_000)), "occurred_at"),
    (sent("bad", occurred_at="0001-01-01T00:00:00Z"), "occurred_at"),
    (sent("bad", occurred_at=ago(minutes=-600)), "occurred_at"),
    (sent("bad", occurred_at="9999-12-31T23:59:59Z"), "occurred_at"),
    (sent("bad", occurred_at="2026-11-23T10:00:00"), "occurred_at"),
    (sent("bad", occurred_at="2026-11-23"), "occurred_at"),
    (sent("bad", occurred_at="yesterday"), "occurred_at"),
    (sent("bad", occurred_at=1_700_000_000), "occurred_at"),
    (sent("bad", occurred_at="2026-02-30T10:00:00Z"), "occurred_at"),
    (sent(""), "id"),
    (sent("x" * 201), "id"),
    (sent("a\nb"), "id"),
    (sent("a\x00b"), "id"),
    (sent("bad", source=""), "source"),
    (sent("bad", source=None), "source"),
    (sent("bad", source="x" * 201), "source"),
    (sent("bad", attributes=[]), "attributes"),
    (sent("bad", attributes={"a": "x" * 5_000}), "attributes"),
    (sent("bad", attributes={str(number): 1 for number in range(65)}), "attributes"),
    (sent("bad", attributes={"a": "\x00"}), "attributes"),
    (without("id"), "id"),
    (without("source"), "source"),
    (without("resource"), "resource"),
    (without("quantity"), "quantity"),
    (without("occurred_at"), "occurred_at"),
    (None, "null"),
    ("text", "str"),
    ([], "array"),
]


@pytest.mark.parametrize(("event", "place"), BAD_EVENTS, ids=lambda value: str(value)[:60])
async def test_a_bad_event_is_named_and_nothing_is_stored(
    api: Api, refused: Caller, event: object, place: str
) -> None:
    answer = await refused.post("./usage", json=[sent("good"), event, sent("good too")])
    problem = problem_of(answer, 422, "invalid-input")
    assert [error["index"] for error in problem["errors"]] == [1]
    assert place in problem["errors"][0]["detail"]
    await require_nothing_stored(api, refused)


async def test_every_bad_event_of_a_batch_is_named(api: Api, refused: Caller) -> None:
    batch = [sent("good"), *(event for event, _ in BAD_EVENTS), sent("good too")]
    errors = problem_of(await refused.post("./usage", json=batch), 422)["errors"]
    assert [error["index"] for error in errors] == list(range(1, len(BAD_EVENTS) + 1))
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[{]",
        b"[}",
        b'[{"id": "a",}]',
        b"nonsense",
        b"[NaN]",
        b"[] []",
        b"[" * 100_000,
        b'[{"quantity": 1e}]',
        "[]".encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_json_is_refused(api: Api, refused: Caller, body: bytes) -> None:
    problem_of(await refused.post("./usage", content=body, headers=JSON), 400, "malformed-body")
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize("body", [{}, {"events": []}, "text", 1, None, True])
async def test_what_is_no_array_is_refused(api: Api, refused: Caller, body: object) -> None:
    answer = await refused.post("./usage", content=json.dumps(body), headers=JSON)
    (error,) = problem_of(answer, 422)["errors"]
    assert (error["field"], error["detail"]) == ("$", "must be an array of events")
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize("size", [0, MAX_EVENTS + 1])
async def test_an_empty_or_oversized_batch_is_refused(api: Api, refused: Caller, size: int) -> None:
    answer = await refused.post("./usage", json=[sent(str(number)) for number in range(size)])
    (error,) = problem_of(answer, 422)["errors"]
    assert error == {"field": "$", "detail": f"must hold 1 to 10000 events, not {size}"}
    await require_nothing_stored(api, refused)


async def test_a_body_over_eight_mebibytes_is_refused(api: Api, refused: Caller) -> None:
    body = json.dumps([sent("one")]).encode()
    fits = await refused.post("./usage", content=b" " * (MAX_BODY_BYTES - 2) + b"[]", headers=JSON)
    problem_of(fits, 422)
    answer = await refused.post("./usage", content=body.ljust(MAX_BODY_BYTES + 1), headers=JSON)
    problem_of(answer, 413, "body-too-large")
    await require_nothing_stored(api, refused)


async def test_a_body_of_unsaid_length_is_refused_as_soon_as_it_is_too_long(
    api: Api, refused: Caller
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps([sent("one")]).encode()
        for _ in range(10):
            yield b" " * 2**20

    problem_of(await refused.post("./usage", content=pieces(), headers=JSON), 413)
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/xml", "text/csv", "application/cloudevents+json", "multipart/form-data", "x"],
)
async def test_another_content_type_is_refused(api: Api, refused: Caller, media_type: str) -> None:
    body = json.dumps([sent("one")])
    answer = await refused.post("./usage", content=body, headers={"Content-Type": media_type})
    assert media_type in problem_of(answer, 415, "unsupported-media-type")["detail"]
    await require_nothing_stored(api, refused)


# --- lenient --------------------------------------------------------------------------------------


async def test_lenient_handling_stores_the_good_and_reports_the_bad(api: Api, machine: Caller) -> None:
    batch = [sent("one"), sent("bad", quantity="-1"), sent("two"), 7, sent("one")]
    answer = await machine.post("./usage", json=batch, headers=LENIENT)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (2, 1)
    assert [rejection["index"] for rejection in body["rejected"]] == [1, 3]
    assert set(await stored(api, machine.tenant)) == {"one", "two"}


async def test_a_lenient_batch_may_be_bad_altogether(api: Api, refused: Caller) -> None:
    answer = await refused.post("./usage", json=[sent("bad", resource="gpu"), None], headers=LENIENT)
    assert answer.status_code == 200
    assert (answer.json()["accepted"], len(answer.json()["rejected"])) == (0, 2)
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize("prefer", ["handling=strict", "lenient", "return=minimal", ""])
async def test_no_other_preference_is_lenient(api: Api, refused: Caller, prefer: str) -> None:
    batch = [sent("good"), sent("bad", quantity="-1")]
    problem_of(await refused.post("./usage", json=batch, headers={"Prefer": prefer}), 422)
    await require_nothing_stored(api, refused)


@pytest.mark.parametrize(
    "prefer", ["respond-async, handling=lenient", "Handling=Lenient", "x; y,handling=lenient"]
)
async def test_a_preference_may_stand_among_others(machine: Caller, prefer: str) -> None:
    batch = [sent("good"), sent("bad", quantity="-1")]
    answer = await machine.post("./usage", json=batch, headers={"Prefer": prefer})
    assert answer.status_code == 200


async def test_what_is_no_batch_is_refused_however_lenient(api: Api, refused: Caller) -> None:
    problem_of(await refused.post("./usage", json=[], headers=LENIENT), 422)
    problem_of(await refused.post("./usage", content=b"[", headers=JSON | LENIENT), 400)
    await require_nothing_stored(api, refused)


# --- the time window ----------------------------------------------------------------------------


async def test_the_edges_of_the_time_window_are_admitted(machine: Caller) -> None:
    batch = [sent("old", occurred_at=ago(days=34, hours=23)), sent("new", occurred_at=ago(minutes=-4))]
    assert (await machine.post("./usage", json=batch)).json()["accepted"] == 2


async def test_only_an_operator_may_send_old_usage(api: Api, machine: Caller, tenant: Tenant) -> None:
    old = [sent("old", occurred_at="1999-12-31T23:59:59Z")]
    for role in (Role.OWNER, Role.ADMIN):
        problem_of(await (await api.as_(role, tenant)).post("./usage", json=old), 422)
    operator = await api.operator()
    answer = await operator.post(f"/tenants/{tenant.id}/usage", json=old)
    assert answer.json()["accepted"] == 1
    too_old = [sent("older", occurred_at="1971-12-31T23:59:59Z")]
    problem_of(await operator.post(f"/tenants/{tenant.id}/usage", json=too_old), 422)


# --- whose tenant, and in which state -----------------------------------------------------------


async def test_an_unknown_tenant_is_not_found(api: Api) -> None:
    operator = await api.operator()
    problem_of(await operator.post(f"/tenants/{uuid4()}/usage", json=[sent("one")]), 404, "not-found")
    problem_of(await operator.get(f"/tenants/{uuid4()}/usage"), 404, "not-found")


async def test_a_foreign_tenant_is_not_found_and_the_attempt_is_audited(
    api: Api, refused: Caller, tenant: Tenant
) -> None:
    answer = await refused.post(f"/tenants/{tenant.id}/usage", json=[sent("one")])
    unknown = await refused.post(f"/tenants/{uuid4()}/usage", json=[sent("one")])
    same = {"type", "title", "status", "detail"}
    assert {key: problem_of(answer, 404)[key] for key in same} == {
        key: problem_of(unknown, 404)[key] for key in same
    }
    assert await stored(api, tenant) == {}
    query = "SELECT actor_id, outcome, chain, request_id FROM audit_log WHERE subject = $1 AND action = $2"
    entries = await rows(api.installation, query, f"tenant:{tenant.id}", "tenant.foreign_access")
    assert entries == [
        {
            "actor_id": refused.account.id,
            "outcome": "denied",
            "chain": "platform",
            "request_id": answer.headers["x-request-id"],
        }
    ]


async def test_a_suspended_tenant_takes_no_usage_and_shows_what_it_has(
    api: Api, machine: Caller, tenant: Tenant
) -> None:
    await machine.post("./usage", json=[sent("one")])
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    answer = await machine.post("./usage", json=[sent("two")])
    problem_of(answer, 403, "tenant-not-writable")
    assert set(await stored(api, tenant)) == {"one"}
    assert len((await machine.get("./usage")).json()["items"]) == 1


@pytest.mark.parametrize("state", [TenantState.DEPROVISIONING, TenantState.DELETED])
async def test_a_tenant_that_is_being_erased_is_gone(
    api: Api, machine: Caller, tenant: Tenant, state: TenantState
) -> None:
    await put_into(api.installation, tenant, state)
    problem_of(await machine.post("./usage", json=[sent("one")]), 410, "tenant-gone")
    problem_of(await machine.get("./usage"), 410, "tenant-gone")
    assert await stored(api, tenant) == {}


async def test_a_tenant_without_a_schema_yet_is_not_ready(api: Api) -> None:
    pending, operator = await register(api.installation), await api.operator()
    answer = await operator.post(f"/tenants/{pending.id}/usage", json=[sent("one")])
    problem_of(answer, 409, "tenant-not-ready")


# --- the list -------------------------------------------------------------------------------------


async def test_events_are_listed_newest_first_with_all_their_fields(machine: Caller) -> None:
    first, second = sent("one", occurred_at=ago(hours=2)), sent("two", occurred_at=ago(hours=1))
    await machine.post("./usage", json=[first, second])
    page = (await machine.get("./usage")).json()
    assert page["next_cursor"] is None
    assert [event["id"] for event in page["items"]] == ["two", "one"]
    event = page["items"][1]
    assert set(event) == {
        "id", "source", "resource", "quantity", "occurred_at", "received_at", "attributes",
    }  # fmt: skip
    assert (event["quantity"], event["resource"], event["attributes"]) == ("1.5", "cpu", None)
    assert datetime.fromisoformat(event["occurred_at"]) == datetime.fromisoformat(first["occurred_at"])


async def test_following_the_cursor_gives_every_event_once_while_others_arrive(machine: Caller) -> None:
    chance = random.Random(7)
    at = [ago(hours=hours) for hours in range(1, 5)]
    batch = [sent(f"{number:02d}", occurred_at=chance.choice(at), source="é/1") for number in range(40)]
    await machine.post("./usage", json=batch)
    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    for turn in range(100):
        query = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
        page = (await machine.get("./usage", params=query)).json()
        seen += [(event["occurred_at"], event["id"]) for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 7
        await machine.post("./usage", json=[sent(f"new-{turn}", occurred_at=chance.choice(at))])
    assert len(seen) == len(set(seen)), "none twice"
    assert {event["id"] for event in batch} <= {event_id for _, event_id in seen}, "none lost"
    assert [at for at, _ in seen] == sorted((at for at, _ in seen), reverse=True)


async def test_a_list_can_be_narrowed(machine: Caller) -> None:
    batch = [
        sent("a", occurred_at="2026-11-01T10:00:00Z"),
        sent("b", occurred_at="2026-11-01T11:00:00Z", resource="storage"),
        sent("c", occurred_at="2026-11-01T12:00:00Z", source="vm 2/é"),
    ]
    await machine.post(
        "./usage", json=[event | {"occurred_at": ago(hours=3 - number)} for number, event in enumerate(batch)]
    )

    async def ids(**query: str) -> str:
        page = await machine.get("./usage", params=query)
        assert page.status_code == 200, page.text
        return "".join(event["id"] for event in page.json()["items"])

    assert await ids() == "cba"
    assert await ids(resource="storage") == "b"
    assert await ids(source="vm 2/é") == "c"
    assert await ids(**{"from": ago(hours=2, minutes=30)}) == "cb"
    assert await ids(to=ago(hours=2, minutes=30)) == "a"
    assert await ids(**{"from": ago(hours=2, minutes=30)}, to=ago(hours=1, minutes=30)) == "b"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "e30"}, "cursor"),
        ({"cursor": "WyJhIiwiYiIsImMiXQ"}, "cursor"),
        ({"cursor": "x" * 2_001}, "cursor"),
        ({"resource": "gpu"}, "resource"),
        ({"from": "2026-11-01T10:00:00"}, "from"),
        ({"to": "2026-11-01T10:00:00"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"source": "x" * 201}, "source"),
    ],
)
async def test_a_bad_parameter_is_named(refused: Caller, query: dict[str, str], field: str) -> None:
    (error,) = problem_of(await refused.get("./usage", params=query), 422, "invalid-input")["errors"]
    assert error["field"] == field


@pytest.mark.parametrize("limit", ["1", "1000"])
async def test_the_edges_of_the_limit_are_admitted(refused: Caller, limit: str) -> None:
    assert (await refused.get("./usage", params={"limit": limit})).status_code == httpx.codes.OK
