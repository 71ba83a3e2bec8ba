"""Which usage events are admitted, and what is said of the others.

A batch is written here as the text that a client would send, so that the tests see what the decoder sees.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput, MalformedBody
from core.resource import Resource
from core.usage import (
    MAX_AHEAD,
    MAX_ATTRIBUTES_DEPTH,
    MAX_BEHIND,
    MAX_EVENTS,
    OLDEST,
    Admission,
    UsageEvent,
    admit,
    window,
)
from tests.core.strategies import quantities, usage_events

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
WINDOW = window(NOW, backfill=False)
MICROSECOND = timedelta(microseconds=1)
MILLION = 1_000_000

EVENT: dict[str, Any] = {
    "id": "1",
    "source": "vm-1",
    "resource": "cpu",
    "quantity": "0.25",
    "occurred_at": "2026-11-23T09:00:00Z",
}
CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/vm/1",
    "type": "usage.cpu",
    "time": "2026-11-23T09:00:00Z",
    "data": {"quantity": "0.25"},
}


def batch(*events: object) -> bytes:
    return json.dumps(events).encode()


def with_raw(field: str, value: bytes, event: dict[str, Any] | None = None) -> bytes:
    """A batch of one event whose field is exactly these bytes of JSON."""
    return batch({**(event or EVENT), field: "@@"}).replace(b'"@@"', value)


def nested(levels: int) -> bytes:
    """An object of so many levels."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def admitted(body: bytes, *, cloud_events: bool = False) -> UsageEvent:
    """The one event of a batch, admitted."""
    admission = admit(body, WINDOW, cloud_events=cloud_events)
    assert admission.rejected == []
    (event,) = admission.events
    return event


def objection(body: bytes, *, cloud_events: bool = False) -> str:
    """What is said of the one event of a batch, rejected."""
    admission = admit(body, WINDOW, cloud_events=cloud_events)
    assert admission.events == []
    (rejection,) = admission.rejected
    assert rejection.index == 0
    return rejection.detail


def indexes(admission: Admission) -> list[int]:
    return [rejection.index for rejection in admission.rejected]


# --- what is admitted -----------------------------------------------------------------------------


def test_an_event_is_admitted_as_it_was_sent() -> None:
    assert admitted(batch({**EVENT, "attributes": {"region": "eu-1", "cores": 4}})) == UsageEvent(
        id="1",
        source="vm-1",
        resource=Resource.CPU,
        quantity=Decimal("0.25"),
        occurred_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
        attributes={"region": "eu-1", "cores": 4},
    )


@given(st.lists(usage_events(first=NOW - MAX_BEHIND, last=NOW + MAX_AHEAD), min_size=1, max_size=20))
def test_valid_events_are_admitted_whole_in_the_order_of_their_keys(events: list[UsageEvent]) -> None:
    admission = admit(msgspec.json.encode(events), WINDOW)
    assert admission.rejected == []
    assert admission.events == sorted(events, key=lambda event: (event.source, event.id))


@given(quantities)
def test_a_quantity_is_the_same_decimal_as_a_string_and_as_a_number(quantity: Decimal) -> None:
    for written in (f'"{quantity}"', f"{quantity:f}", str(quantity)):
        assert admitted(with_raw("quantity", written.encode())).quantity == quantity


def test_batches_that_share_keys_have_them_in_one_order() -> None:
    keys = [
        ("b", "2"),
        ("a", "10"),
        ("b", "1"),
        ("a", "é"),
        ("a", "9"),
        ("é", "1"),
        ("\U0001f600", "1"),
        ("Z", "1"),
    ]
    events = [{**EVENT, "source": source, "id": key} for source, key in keys]
    found = [(event.source, event.id) for event in admit(batch(*events), WINDOW).events]
    # As PostgreSQL's collation "C" has it: by the bytes of UTF-8.
    assert found == sorted(keys, key=lambda key: (key[0].encode(), key[1].encode()))
    assert found == [(event.source, event.id) for event in admit(batch(*reversed(events)), WINDOW).events]


def test_of_two_events_with_one_key_the_first_sent_stays_first() -> None:
    events = [{**EVENT, "quantity": 1}, {**EVENT, "id": "0"}, {**EVENT, "quantity": 2}]
    assert [event.quantity for event in admit(batch(*events), WINDOW).events[1:]] == [1, 2]


def test_of_a_key_that_stands_twice_in_an_object_the_last_counts() -> None:
    body = batch(EVENT).replace(b'"quantity": "0.25"', b'"quantity": "nonsense", "quantity": "2"')
    assert objection(body) == "quantity: Invalid decimal string"
    body = batch(EVENT).replace(b'"quantity": "0.25"', b'"quantity": "1", "quantity": "2"')
    assert admitted(body).quantity == 2


def test_what_an_event_says_beyond_its_fields_is_ignored() -> None:
    assert admitted(batch({**EVENT, "colour": {"r": [1, None, "\x00"]}})) == admitted(batch(EVENT))


def test_the_largest_batch_has_ten_thousand_events() -> None:
    events = [{**EVENT, "id": str(number)} for number in range(MAX_EVENTS)]
    assert len(admit(batch(*events), WINDOW).events) == MAX_EVENTS == 10_000


# --- the body -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud_events", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[",
        b"]",
        b"[{",
        b"[]]",
        b"[]x",
        b"[1,]",
        b"[,1]",
        b"[{'id': 1}]",
        b"nul",
        b"[nan]",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"[0x10]",
        b'["\\x41"]',
        b'["\n"]',
        b'["\x00"]',
        b"[\x00]",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf[]",
        b"// none\n[]",
        json.dumps([EVENT]).encode("utf-16"),
        json.dumps([EVENT]).encode("utf-32"),
        batch(EVENT)[:-1],
        batch(EVENT)[:-5],
        b'["\\ud800"]',
        with_raw("id", b'"\\ud800"'),
        with_raw("id", b'"\\udc00\\ud800"'),
        with_raw("attributes", b'{"a": "\\ud83d and more than a pair"}'),
    ],
)
def test_what_is_no_json_is_malformed(body: bytes, *, cloud_events: bool) -> None:
    with pytest.raises(MalformedBody, match="not valid JSON"):
        admit(body, WINDOW, cloud_events=cloud_events)


@pytest.mark.parametrize("cloud_events", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 20_000,
        b"[" * MILLION,
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":' * 50_000,
        with_raw("id", b"[" * 50_000 + b"]" * 50_000),
        with_raw("unknown", b"[" * 50_000 + b"]" * 50_000),
        with_raw("attributes", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    ],
    ids=["open", "millions", "closed", "objects", "in a text", "in what is ignored", "in the attributes"],
)
def test_json_of_thousands_of_levels_is_malformed(body: bytes, *, cloud_events: bool) -> None:
    with pytest.raises(MalformedBody, match="nested too deeply"):
        admit(body, WINDOW, cloud_events=cloud_events)


@pytest.mark.parametrize("levels", range(900, 1_010, 3))
def test_no_depth_near_what_can_be_read_fails_otherwise(levels: int) -> None:
    try:
        admission = admit(with_raw("attributes", nested(levels)), WINDOW)
    except MalformedBody:
        return
    assert indexes(admission) == [0]


@given(st.binary(max_size=60))
def test_any_bytes_are_answered(noise: bytes) -> None:
    for cloud_events in (False, True):
        try:
            admission = admit(noise, WINDOW, cloud_events=cloud_events)
        except (MalformedBody, InvalidInput):
            continue
        assert admission.events == []
        assert admission.rejected != []


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted({*EVENT, "attributes"})), json_values)
def test_whatever_stands_in_a_field_the_event_is_admitted_or_rejected(field: str, value: object) -> None:
    for body, cloud_events in (
        (batch({**EVENT, field: value}), False),
        (batch({**CLOUD_EVENT, field: value}), True),
        (batch({**CLOUD_EVENT, "data": {"quantity": "1", field: value}}), True),
    ):
        admission = admit(body, WINDOW, cloud_events=cloud_events)
        assert len(admission.events) + len(admission.rejected) == 1


@pytest.mark.parametrize("cloud_events", [False, True])
@pytest.mark.parametrize(
    "body", [b"{}", b"null", b"1", b'"events"', b"true", b'{"events": []}', batch(EVENT)[1:-1]]
)
def test_what_is_no_array_is_refused(body: bytes, *, cloud_events: bool) -> None:
    with pytest.raises(InvalidInput) as refused:
        admit(body, WINDOW, cloud_events=cloud_events)
    assert refused.value.data["errors"] == [{"field": "$", "detail": "must be an array of events"}]


@pytest.mark.parametrize("cloud_events", [False, True])
@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"[]", 0),
        (b" [ ] ", 0),
        (b"[" + b"1," * 10_000 + b"1]", 10_001),
        (batch(*[{**EVENT, "id": str(number)} for number in range(10_001)]), 10_001),
        (batch(*[CLOUD_EVENT] * 10_001), 10_001),
        (b"[" + b"{}," * MILLION + b"{}]", 1_000_001),
    ],
    ids=["empty", "blank", "numbers", "events", "CloudEvents", "a million"],
)
def test_an_empty_or_oversized_batch_is_refused(body: bytes, count: int, *, cloud_events: bool) -> None:
    with pytest.raises(InvalidInput) as refused:
        admit(body, WINDOW, cloud_events=cloud_events)
    detail = f"must hold 1 to 10000 events, not {count}"
    assert refused.value.data["errors"] == [{"field": "$", "detail": detail}]


# --- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 1, 1.5, True, "event", [], [EVENT]])
def test_an_element_that_is_no_object_is_rejected(value: object) -> None:
    assert objection(batch(value)).startswith("Expected `object`")


@pytest.mark.parametrize("field", EVENT)
def test_an_event_without_a_required_field_is_rejected(field: str) -> None:
    incomplete = {key: value for key, value in EVENT.items() if key != field}
    assert objection(batch(incomplete)) == f"Object missing required field `{field}`"


WRONG: dict[str, list[object]] = {
    "id": [None, 1, True, [], {}, ["1"]],
    "source": [None, 1, True, [], {}, ["1"]],
    "resource": [None, 1, [], "", "gpu", "CPU", " cpu", "cpu\n", "cpu\x00", "usage.cpu"],
    "quantity": [None, True, False, [], {}, [1], "", " ", "one", "1,5", "0x10", "1e", "--1"],
    "occurred_at": [None, 1_795_428_000, [], "", "now", "2026-11-23", "09:00:00Z"],
    "attributes": [1, "a", [], [["a", 1]], True],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_value_of_a_wrong_type_is_rejected_with_its_field(field: str, value: object) -> None:
    assert objection(batch({**EVENT, field: value})).startswith(f"{field}: ")


def test_attributes_may_be_null_or_empty() -> None:
    assert admitted(batch({**EVENT, "attributes": None})).attributes is None
    assert admitted(batch({**EVENT, "attributes": {}})).attributes == {}


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "source"])
@pytest.mark.parametrize(
    "text", ["1", "a" * 200, "é" * 200, "\U0001f600", "a b", "/vm/1?x=%00", "\\u0000", "\x80"]
)
def test_an_id_is_any_text_of_up_to_200_characters(field: str, text: str) -> None:
    assert getattr(admitted(batch({**EVENT, field: text})), field) == text


@pytest.mark.parametrize("field", ["id", "source"])
@pytest.mark.parametrize(
    "text", ["", "a" * 201, "\x00", "a\x00b", "a\n", "\na", "a\r\nb", "\t", "\x1b[31m", "\x7f", "a\x1f"]
)
def test_an_id_with_control_characters_or_of_no_length_is_rejected(field: str, text: str) -> None:
    assert objection(batch({**EVENT, field: text})).startswith(f"{field}: ")


def test_bytes_that_are_no_utf_8_are_rejected_with_the_index_of_their_event() -> None:
    body = batch(EVENT, {**EVENT, "id": "@@"}, {**EVENT, "source": "@@"}).replace(b"@@", b"\xff\xfe")
    admission = admit(body, WINDOW)
    assert len(admission.events) == 1
    assert indexes(admission) == [1, 2]
    assert "utf-8" in admission.rejected[0].detail


# --- quantities -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quantity",
    [
        "0",
        "-0",
        "-0.0",
        "0.1",
        "0.000000000001",
        "1e-12",
        "1E+14",
        "999999999999999.999999999999",
        "123456789012345.123456789012",
        "1000000",
        "1.500000000000",
    ],
)
def test_a_quantity_has_up_to_15_digits_and_12_decimals(quantity: str) -> None:
    for written in (quantity, f'"{quantity}"'):
        assert admitted(with_raw("quantity", written.encode())).quantity == Decimal(quantity)


@pytest.mark.parametrize(
    "quantity", ["-1", "-0.000000000001", "-1e-400", "-999999999999999", "-1e400", f"-{'9' * 40}"]
)
def test_a_negative_quantity_is_rejected(quantity: str) -> None:
    for written in (quantity, f'"{quantity}"'):
        assert objection(with_raw("quantity", written.encode())) == "quantity: must not be negative"


@pytest.mark.parametrize(
    "quantity", ["NaN", "nan", "-NaN", "sNaN", "NaN123", "Infinity", "-Infinity", "inf", "-inf", "+Infinity"]
)
def test_a_quantity_that_is_no_finite_number_is_rejected(quantity: str) -> None:
    assert objection(with_raw("quantity", f'"{quantity}"'.encode())) == "quantity: must be a finite number"


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "-Infinity", "nan", "inf"])
def test_json_has_no_number_that_is_not_finite(quantity: str) -> None:
    with pytest.raises(MalformedBody):
        admit(with_raw("quantity", quantity.encode()), WINDOW)


@pytest.mark.parametrize(
    "quantity",
    [
        "1000000000000000",
        "1e15",
        "1000000000000000.000000000001",
        "9" * 40,
        "1" + "0" * 39,
        "1e400",
        "1e999999999",
        "1e999999999999999999",
        "0e15",  # PostgreSQL reads zeros with exponents, up to a point
        "0e999999999999999999",
    ],
)
def test_a_quantity_of_more_than_15_digits_is_rejected(quantity: str) -> None:
    for written in (quantity, f'"{quantity}"'):
        assert objection(with_raw("quantity", written.encode())) == "quantity: must be below 10^15"


@pytest.mark.parametrize(
    "quantity",
    [
        "0.0000000000001",
        "1.0000000000000",
        "0.0000000000000",
        "999999999999999.9999999999999",
        "1e-13",
        "0e-13",
        "1e-400",
        "1e-999999999999999999",
        "0." + "9" * 40,
    ],
)
def test_a_quantity_of_more_than_12_decimals_is_rejected(quantity: str) -> None:
    for written in (quantity, f'"{quantity}"'):
        assert objection(with_raw("quantity", written.encode())) == "quantity: must have at most 12 decimals"


@pytest.mark.parametrize(
    "digits",
    [
        b"9" * MILLION,
        b"-" + b"9" * MILLION,
        b"0." + b"9" * MILLION,
        b"1e" + b"9" * MILLION,
        b"1" + b"0" * MILLION,
    ],
    ids=["integer", "negative", "decimals", "exponent", "zeros"],
)
def test_a_number_of_a_million_digits_is_rejected_at_once(digits: bytes) -> None:
    for body in (
        with_raw("quantity", digits),
        with_raw("quantity", b'"' + digits + b'"'),
        with_raw("id", digits),
        with_raw("occurred_at", digits),
        with_raw("attributes", digits),
    ):
        start = process_time()
        assert objection(body)
        assert process_time() - start < 0.5  # what takes its digits apart needs seconds or minutes


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "occurred_at",
    ["2026-11-23T09:00:00", "2026-11-23 09:00:00", "2026-11-23T09:00:00.5", "20261123T090000"],
)
def test_a_time_without_an_offset_is_rejected(occurred_at: str) -> None:
    assert objection(batch({**EVENT, "occurred_at": occurred_at})).startswith("occurred_at: ")


@pytest.mark.parametrize(
    "occurred_at",
    [
        "2026-11-23T25:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:00:60Z",
        "2026-02-29T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "12026-11-23T09:00:00Z",
        "2026-11-23T09:00:00+24:00",
        "2026-11-23T09:00:00Z\n",
        "2026-11-23T09:00:00\x00Z",
        "9" * 1_000,
    ],
)
def test_a_time_that_no_calendar_has_is_rejected(occurred_at: str) -> None:
    assert objection(batch({**EVENT, "occurred_at": occurred_at})).startswith("occurred_at: ")


def test_times_of_one_instant_are_equal_whatever_their_offset() -> None:
    for written in ("2026-11-23T09:00:00Z", "2026-11-23T10:00:00+01:00", "2026-11-22T22:00:00-11:00"):
        event = admitted(batch({**EVENT, "occurred_at": written}))
        assert event.occurred_at == datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("occurred_at", "detail"),
    [
        (NOW, None),
        (NOW + timedelta(minutes=5), None),
        (NOW + timedelta(minutes=5) + MICROSECOND, "occurred_at: is more than 5 minutes in the future"),
        (NOW - timedelta(days=35), None),
        (
            NOW - timedelta(days=35) - MICROSECOND,
            "occurred_at: is before 2026-10-19T10:00:00+00:00, the earliest admitted",
        ),
    ],
)
@pytest.mark.parametrize("offset", [0, 14, -12])
def test_the_time_window_is_exact_to_the_microsecond(
    occurred_at: datetime, detail: str | None, offset: int
) -> None:
    written = occurred_at.astimezone(timezone(timedelta(hours=offset))).isoformat()
    body = batch({**EVENT, "occurred_at": written})
    assert (objection(body) if detail else admitted(body).occurred_at) == (detail or occurred_at)


@pytest.mark.parametrize(
    "occurred_at",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999-12:00",
        "1970-01-01T00:00:00Z",
        "2036-11-23T09:00:00Z",
    ],
)
@pytest.mark.parametrize("backfill", [False, True])
def test_the_far_past_and_the_far_future_are_rejected(occurred_at: str, *, backfill: bool) -> None:
    admission = admit(batch({**EVENT, "occurred_at": occurred_at}), window(NOW, backfill=backfill))
    assert admission.events == []
    assert admission.rejected[0].detail.startswith("occurred_at: is ")


def test_a_backfill_reaches_back_to_1972_and_not_further_ahead() -> None:
    backfill = window(NOW, backfill=True)
    instants = [
        OLDEST - MICROSECOND,
        OLDEST,
        NOW - timedelta(days=36),
        NOW + MAX_AHEAD,
        NOW + MAX_AHEAD + MICROSECOND,
    ]
    body = batch(*({**EVENT, "id": str(n), "occurred_at": at.isoformat()} for n, at in enumerate(instants)))
    admission = admit(body, backfill)
    assert [event.id for event in admission.events] == ["1", "2", "3"]
    assert indexes(admission) == [0, 4]
    assert datetime(1972, 1, 1, tzinfo=UTC) == OLDEST


# --- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "objection_"),
    [
        ({str(number): number for number in range(64)}, None),
        ({str(number): number for number in range(65)}, "attributes: must have at most 64 keys"),
        ({"a": "x" * 4_088}, None),  # 4,096 bytes with the braces, quotes and colon
        ({"a": "x" * 4_089}, "attributes: must have at most 4096 bytes"),
        ({"a": "é" * 2_044}, None),
        ({"a": "é" * 2_045}, "attributes: must have at most 4096 bytes"),
        ({"a": "\x00"}, "attributes: must not contain NUL characters"),
        ({"a\x00": 1}, "attributes: must not contain NUL characters"),
        ({"a": [{"b": ["\x00"]}]}, "attributes: must not contain NUL characters"),
        ({"a": "\\\x00"}, "attributes: must not contain NUL characters"),
        ({"a": "\\u0000"}, None),  # a backslash and a word: no NUL
        ({"a": "\\\\u0000"}, None),
        ({"a": "\x01\x1f\x7f"}, None),
        ({"a": [1.5, -1, None, True, "\U0001f600", {"b": []}]}, None),
    ],
)
def test_attributes_are_bounded_and_free_of_nul(attributes: dict[str, Any], objection_: str | None) -> None:
    body = batch({**EVENT, "attributes": attributes})
    if objection_ is None:
        assert admitted(body).attributes == attributes
    else:
        assert objection(body) == objection_


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_attributes_have_at_most_16_levels(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def attributes(levels: int) -> bytes:
        inner = opening * (levels - 1) + ("" if opening == "[" else "1") + closing * (levels - 1)
        return f'{{"a": {inner}}}'.encode()

    assert MAX_ATTRIBUTES_DEPTH == 16
    assert admitted(with_raw("attributes", attributes(16))).attributes
    for levels in (17, 100, 900):
        assert (
            objection(with_raw("attributes", attributes(levels))) == "attributes: must have at most 16 levels"
        )


def texts(value: object) -> list[str]:
    """Every text in a JSON value, keys included."""
    match value:
        case str():
            return [value]
        case list():
            return [text for inner in value for text in texts(inner)]
        case dict():
            return [text for pair in value.items() for inner in pair for text in texts(inner)]
        case _:
            return []


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_attributes_are_kept_as_they_were_unless_a_text_in_them_has_a_nul(attributes: dict[str, Any]) -> None:
    admission = admit(batch({**EVENT, "attributes": attributes}), WINDOW)
    if any("\x00" in text for text in texts(attributes)):
        assert admission.rejected[0].detail == "attributes: must not contain NUL characters"
    else:
        (event,) = admission.events
        assert event.attributes == attributes
        assert msgspec.json.decode(msgspec.json.encode(event), type=UsageEvent) == event


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5_000])
def test_an_attribute_too_large_for_a_number_is_rejected(number: str) -> None:
    assert objection(with_raw("attributes", f'{{"a": {number}}}'.encode())).startswith("attributes")


def test_an_integer_of_many_digits_is_kept_exactly() -> None:
    number = int("9" * 400)
    assert admitted(batch({**EVENT, "attributes": {"a": number}})).attributes == {"a": number}


# --- batches with faults --------------------------------------------------------------------------

FAULTS: list[object] = [
    None,
    "event",
    {},
    {**EVENT, "id": ""},
    {**EVENT, "source": "\x00"},
    {**EVENT, "resource": "gpu"},
    {**EVENT, "quantity": "-1"},
    {**EVENT, "quantity": "NaN"},
    {**EVENT, "quantity": "9" * 40},
    {**EVENT, "quantity": "0.0000000000001"},
    {**EVENT, "occurred_at": "2026-11-23T09:00:00"},
    {**EVENT, "occurred_at": "2027-11-23T09:00:00Z"},
    {**EVENT, "occurred_at": "2025-11-23T09:00:00Z"},
    {**EVENT, "attributes": {"a": "\x00"}},
    {**EVENT, "attributes": []},
]

mixed = st.lists(st.one_of(st.none(), st.integers(0, len(FAULTS) - 1)), min_size=1, max_size=30)


def composed(choices: Iterable[int | None]) -> list[object]:
    return [
        {**EVENT, "id": f"{number:02}"} if fault is None else FAULTS[fault]
        for number, fault in enumerate(choices)
    ]


@given(mixed)
def test_every_fault_is_told_with_its_index_and_the_rest_is_admitted(choices: list[int | None]) -> None:
    admission = admit(batch(*composed(choices)), WINDOW)
    assert indexes(admission) == [number for number, fault in enumerate(choices) if fault is not None]
    assert [event.id for event in admission.events] == [
        f"{number:02}" for number, fault in enumerate(choices) if fault is None
    ]


@given(mixed)
def test_a_fault_is_told_alike_in_any_company(choices: list[int | None]) -> None:
    for rejection in admit(batch(*composed(choices)), WINDOW).rejected:
        fault = choices[rejection.index]
        assert fault is not None
        assert rejection.detail == objection(batch(FAULTS[fault]))


# --- CloudEvents ----------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", Resource)
def test_a_cloud_event_says_the_same_as_an_event(resource: Resource) -> None:
    sent = {
        **CLOUD_EVENT,
        "type": f"usage.{resource}",
        "datacontenttype": "application/json",
        "data": {"quantity": "0.25", "attributes": {"region": "eu-1"}},
    }
    assert admitted(batch(sent), cloud_events=True) == UsageEvent(
        id="1",
        source="/vm/1",
        resource=resource,
        quantity=Decimal("0.25"),
        occurred_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
        attributes={"region": "eu-1"},
    )


@pytest.mark.parametrize("field", CLOUD_EVENT)
def test_a_cloud_event_without_a_required_field_is_rejected(field: str) -> None:
    incomplete = {key: value for key, value in CLOUD_EVENT.items() if key != field}
    assert objection(batch(incomplete), cloud_events=True) == f"Object missing required field `{field}`"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", "1.0\n"),
        ("specversion", "11.0"),
        ("specversion", "1x0"),
        ("specversion", 1.0),
        ("type", "usage.gpu"),
        ("type", "cpu"),
        ("type", "usage.cpu\n"),
        ("type", "usage.cpu.v2"),
        ("type", "my.usage.cpu"),
        ("type", "usageXcpu"),
        ("id", ""),
        ("id", "a\x00"),
        ("source", "a\n"),
        ("time", "2026-11-23T09:00:00"),
        ("time", None),
        ("data", None),
        ("data", []),
        ("data", "0.25"),
        ("data", {}),
        ("data", {"quantity": None}),
        ("data", {"quantity": "1", "attributes": 1}),
    ],
)
def test_a_cloud_event_with_a_wrong_value_is_rejected_with_its_field(field: str, value: object) -> None:
    assert field in objection(batch({**CLOUD_EVENT, field: value}), cloud_events=True)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"data": {"quantity": "-1"}}, "quantity: must not be negative"),
        ({"data": {"quantity": "NaN"}}, "quantity: must be a finite number"),
        ({"data": {"quantity": "9" * 40}}, "quantity: must be below 10^15"),
        (
            {"data": {"quantity": 1, "attributes": {"a": "\x00"}}},
            "attributes: must not contain NUL characters",
        ),
        ({"time": "2027-11-23T09:00:00Z"}, "occurred_at: is more than 5 minutes in the future"),
    ],
)
def test_a_cloud_event_is_held_to_the_same_rules(fields: dict[str, object], detail: str) -> None:
    assert objection(batch({**CLOUD_EVENT, **fields}), cloud_events=True) == detail


def test_each_fault_among_cloud_events_is_told_with_its_index() -> None:
    events = [
        CLOUD_EVENT,
        {**CLOUD_EVENT, "type": "x"},
        1,
        {**CLOUD_EVENT, "id": "0"},
        {**CLOUD_EVENT, "data": {}},
    ]
    admission = admit(batch(*events), WINDOW, cloud_events=True)
    assert indexes(admission) == [1, 2, 4]
    assert [event.id for event in admission.events] == ["0", "1"]


def test_an_event_is_no_cloud_event_nor_the_other_way_round() -> None:
    assert objection(batch(EVENT), cloud_events=True)
    assert objection(batch(CLOUD_EVENT))
