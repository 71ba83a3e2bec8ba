from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resource import Resource
from core.usage import OLDEST, UsageEvent, window
from core.usage_import import (
    FAULT,
    BadRow,
    Choices,
    Column,
    ColumnMapping,
    ColumnMissing,
    ColumnNotFound,
    fingerprint,
    latest_day,
    map_columns,
    parse_factor,
    read_rows,
    shifted_to,
)

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ALLOWED = window(NOW, backfill=True)
CLOUDWATCH = ColumnMapping(
    resource=Resource.CPU,
    source="vm-1",
    id=None,
    occurred_at=Column("timestamp"),
    quantity=Column("value"),
)


def mapping(**changes: object) -> ColumnMapping:
    return msgspec.structs.replace(CLOUDWATCH, **changes)


def event_of(row: dict[str, object], by: ColumnMapping = CLOUDWATCH) -> UsageEvent:
    reading = read_rows([(2, row)], by, ALLOWED)
    assert reading.bad_rows == []
    return reading.events[0]


def reason_of(row: dict[str, object], by: ColumnMapping = CLOUDWATCH) -> str:
    reading = read_rows([(2, row)], by, ALLOWED)
    assert reading.events == []
    return reading.bad_rows[0].reason


def quantity_of(value: object, factor: str = "1") -> Decimal:
    return event_of(
        {"timestamp": "2014-02-14", "value": value}, mapping(factor=parse_factor(factor))
    ).quantity


def time_of(value: object, time_zone: str = "UTC", shift_days: int = 0) -> datetime:
    by = mapping(time_zone=time_zone, shift_days=shift_days)
    return event_of({"timestamp": value, "value": "1"}, by).occurred_at


# --- rows -----------------------------------------------------------------------------------------


def test_a_row_becomes_an_event_whose_id_is_its_time_as_written() -> None:
    event = event_of({"timestamp": "2014-02-14 14:30:00", "value": "0.132"})
    assert event == UsageEvent(
        id="2014-02-14 14:30:00",
        source="vm-1",
        resource=Resource.CPU,
        quantity=Decimal("0.132"),
        occurred_at=datetime(2014, 2, 14, 14, 30, tzinfo=UTC),
    )


def test_columns_of_a_row_give_its_id_source_and_resource() -> None:
    by = mapping(id=Column("nr"), source=Column("vm"), resource=Column("what"))
    row = {"timestamp": "2014-02-14", "value": "1", "nr": 7, "vm": "vm 9", "what": " network "}
    event = event_of(row, by)
    assert (event.id, event.source, event.resource) == ("7", "vm 9", Resource.NETWORK)


def test_two_resources_of_one_time_are_two_events() -> None:
    by = mapping(resource=Column("resource"))
    rows = [(2, {"timestamp": "2014-02-14", "value": "1", "resource": name}) for name in ("cpu", "memory")]
    assert [row.id for row in read_rows(rows, by, ALLOWED).events] == ["2014-02-14 cpu", "2014-02-14 memory"]


def test_events_come_in_the_order_of_their_keys_so_that_imports_never_deadlock() -> None:
    by = mapping(source=Column("vm"), id=Column("id"))
    keys = [("b", "1"), ("a", "2"), ("a", "1"), ("a", "10")]
    rows = [
        (n, {"timestamp": "2014-02-14", "value": "1", "vm": vm, "id": id_})
        for n, (vm, id_) in enumerate(keys)
    ]
    assert [(event.source, event.id) for event in read_rows(rows, by, ALLOWED).events] == sorted(keys)


def test_bad_rows_are_told_by_their_numbers_in_the_file_and_the_good_ones_kept() -> None:
    rows: list[tuple[int, dict[str, object]]] = [
        (2, {"timestamp": "2014-02-14 00:00", "value": "1"}),
        (3, {"timestamp": "2014-02-14 00:05", "value": "-1"}),
        (4, {"timestamp": None, "value": "1"}),
        (7, {"timestamp": "2014-02-14 00:10", "value": "2"}),
    ]
    reading = read_rows(rows, CLOUDWATCH, ALLOWED)
    assert [event.quantity for event in reading.events] == [1, 2]
    assert reading.bad_rows == [
        BadRow(3, "quantity: must not be negative"),
        BadRow(4, "occurred_at: is missing"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": None}, "quantity: is missing"),
        ({"value": "  "}, "quantity: is missing"),
        ({"value": "much"}, "quantity: 'much' is not a number"),
        ({"value": "1,5"}, "quantity: '1,5' is not a number"),
        ({"value": "1_000"}, "quantity: '1_000' is not a number"),
        ({"value": "٣"}, "quantity: '٣' is not a number"),
        ({"value": "0x10"}, "quantity: '0x10' is not a number"),
        ({"value": "1e9999"}, "quantity: '1e9999' is not a number"),
        ({"value": "1" * 101}, "quantity: '" + "1" * 39 + "… is not a number"),
        ({"value": "NaN"}, "quantity: must be a finite number"),
        ({"value": "-Infinity"}, "quantity: must be a finite number"),
        ({"value": float("nan")}, "quantity: must be a finite number"),
        ({"value": float("inf")}, "quantity: must be a finite number"),
        ({"value": True}, "quantity: 'True' is not a number"),
        ({"value": [1]}, "quantity: '[1]' is not a number"),
        ({"value": "-1"}, "quantity: must not be negative"),
        ({"value": "-1e-30"}, "quantity: must not be negative"),
        ({"value": "1e15"}, "quantity: must be below 10^15"),
        ({"value": "1e999"}, "quantity: must be below 10^15"),
        ({"value": "999999999999999.9999999999995"}, "quantity: must be below 10^15"),
        ({"timestamp": None}, "occurred_at: is missing"),
        ({"timestamp": ""}, "occurred_at: is missing"),
        ({"timestamp": "yesterday"}, "occurred_at: 'yesterday' is not a time like 2026-11-23T10:00:00Z"),
        ({"timestamp": 1392388200}, "occurred_at: '1392388200' is not a time like 2026-11-23T10:00:00Z"),
        ({"timestamp": "2014-02-30"}, "occurred_at: '2014-02-30' is not a time like 2026-11-23T10:00:00Z"),
        ({"timestamp": "0001-01-01T00:00+01:00"}, "occurred_at: '0001-01-01T00:00+01:00' is out of range"),
        ({"timestamp": "2026-11-23T10:05:01Z"}, "occurred_at: is more than 5 minutes in the future"),
        ({"timestamp": "1969-07-20"}, f"occurred_at: is before {OLDEST.isoformat()}, the earliest admitted"),
        ({"resource": None}, "resource: is missing"),
        ({"resource": "gpu"}, "resource: 'gpu' is none of cpu, memory, storage, network, api_calls"),
        ({"source": None}, "source: is missing"),
        ({"source": "a\nb"}, "source: must have 1 to 200 characters and no control characters"),
        ({"source": "x" * 201}, "source: must have 1 to 200 characters and no control characters"),
        ({"source": "M\ufffdnchen"}, "source: is not text in UTF-8"),
        ({"source": b"vm"}, "source: \"b'vm'\" is not a text"),
        ({"id": ""}, "id: is missing"),
        ({"id": 1.5}, "id: '1.5' is not a text"),
        ({FAULT: "has 3 fields, and the header 2"}, "row: has 3 fields, and the header 2"),
    ],
)
def test_a_bad_row_is_told_why(changes: dict[str, object], reason: str) -> None:
    by = mapping(id=Column("id"), source=Column("source"), resource=Column("resource"))
    good: dict[str, object] = {
        "timestamp": "2014-02-14",
        "value": "1",
        "id": "1",
        "source": "vm",
        "resource": "cpu",
    }
    event_of(good, by)
    assert reason_of(good | changes, by) == reason


def test_a_reason_shows_neither_control_characters_nor_the_whole_of_a_long_value() -> None:
    reason = reason_of({"timestamp": "2014-02-14", "value": "\x1b[31m" + "x" * 10_000})
    assert reason.isprintable()
    assert len(reason) < 80


# --- quantities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "factor", "quantity"),
    [
        ("0.132", "1", "0.132"),
        (" 1.50 ", "1", "1.5"),
        ("1E3", "1", "1000"),
        ("-0.0", "1", "0"),
        ("94.0", "1", "94"),
        (7, "1", "7"),
        (2**64 - 1, "1e-6", "18446744073709.551615"),
        (0.1, "1", "0.1"),
        (1e20, "1e-9", "100000000000"),
        (Decimal("1.234567890123456789"), "1", "1.234567890123"),
        ("51.846000000000004", "1", "51.846"),
        ("100", "4*5/60/100", "0.333333333333"),
        ("200", "4*5/60/100", "0.666666666667"),
        ("0.132", "20/6000", "0.00044"),
        ("251643.0", "1/1e9", "0.000251643"),
        ("1000000000.0", "5/1440/1e9", "0.003472222222"),
        ("0.0000000000005", "1", "0"),
        ("0.0000000000015", "1", "0.000000000002"),
        ("999999999999999.999999999999", "1", "999999999999999.999999999999"),
    ],
)
def test_a_quantity_is_the_exact_product_with_at_most_twelve_decimals(
    value: object, factor: str, quantity: str
) -> None:
    assert str(quantity_of(value, factor)) == str(Decimal(quantity))


@given(
    number=st.decimals(min_value=0, max_value=10**9, places=15),
    over=st.integers(1, 10**6),
    under=st.integers(1, 10**6),
)
def test_every_product_is_within_half_a_unit_of_the_exact_one(number: Decimal, over: int, under: int) -> None:
    quantity = quantity_of(str(number), f"{over}/{under}")
    assert abs(Fraction(quantity) - Fraction(number) * Fraction(over, under)) <= Fraction(1, 2 * 10**12)


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=20))
def test_rounding_is_half_even_as_the_decimal_module_does_it(number: Decimal) -> None:
    expected = number.quantize(Decimal("1e-12"), ROUND_HALF_EVEN, Context(prec=60))
    assert quantity_of(number) == expected


@given(st.floats(min_value=0, max_value=1e14))
def test_a_float_counts_as_the_shortest_decimal_that_it_is(number: float) -> None:
    assert quantity_of(number) == quantity_of(repr(number))


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("1", Fraction(1)),
        ("20/6000", Fraction(1, 300)),
        (" 4 * 5 / 60 / 100 ", Fraction(1, 300)),
        ("0.1", Fraction(1, 10)),
        ("1/1e9", Fraction(1, 10**9)),
        ("2.5E-3*4", Fraction(1, 100)),
    ],
)
def test_a_factor_is_exact(text: str, factor: Fraction) -> None:
    assert parse_factor(text) == factor


@pytest.mark.parametrize(
    "text",
    ["", "x", "1/", "*1", "1//2", "0", "1/0", "-1", "+1", "nan", "1e999", "1_0", "(1)", "2**3", "1" * 101],
)
def test_what_is_no_factor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"factor|positive numbers"):
        parse_factor(text)


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "time_zone", "expected"),
    [
        ("2014-02-14 14:30:00", "UTC", "2014-02-14T14:30:00Z"),
        ("2014-02-14T14:30", "Europe/Berlin", "2014-02-14T13:30:00Z"),
        ("2014-07-14T14:30", "Europe/Berlin", "2014-07-14T12:30:00Z"),
        ("2014-02-14T14:30:00Z", "Europe/Berlin", "2014-02-14T14:30:00Z"),
        ("2014-02-14T14:30:00+05:30", "UTC", "2014-02-14T09:00:00Z"),
        ("2014-02-14", "Europe/Berlin", "2014-02-13T23:00:00Z"),
        (datetime(2014, 2, 14, 14, 30), "Europe/Berlin", "2014-02-14T13:30:00Z"),  # noqa: DTZ001 -- naive on purpose
        (datetime(2014, 2, 14, 14, tzinfo=timezone(timedelta(hours=2))), "UTC", "2014-02-14T12:00:00Z"),
        (date(2014, 2, 14), "UTC", "2014-02-14T00:00:00Z"),
    ],
)
def test_a_time_without_an_offset_is_local_to_the_time_zone(
    value: object, time_zone: str, expected: str
) -> None:
    assert time_of(value, time_zone) == datetime.fromisoformat(expected)


def test_a_shifted_time_keeps_its_time_of_day_over_a_change_of_clocks() -> None:
    assert time_of("2014-02-14 14:30", "Europe/Berlin", 150) == datetime(2014, 7, 14, 12, 30, tzinfo=UTC)
    assert time_of("2014-02-14T13:30Z", "Europe/Berlin", 150) == datetime(2014, 7, 14, 12, 30, tzinfo=UTC)


def test_a_shift_out_of_the_calendar_is_a_bad_row() -> None:
    by = mapping(shift_days=3_000_000)
    assert "is out of range" in reason_of({"timestamp": "2014-02-14", "value": "1"}, by)


def test_an_event_keeps_its_id_when_its_series_is_shifted() -> None:
    row: dict[str, object] = {"timestamp": "2014-02-14", "value": "1"}
    assert event_of(row, mapping(shift_days=90)).id == event_of(row).id


def test_the_latest_day_is_local_and_passes_over_what_is_no_time() -> None:
    times = ["2014-02-14 23:30", None, "soon", "2014-02-13 01:00", "2014-02-14T23:30Z"]
    assert latest_day(times, "UTC") == date(2014, 2, 14)
    assert latest_day(times, "Europe/Berlin") == date(2014, 2, 15)
    assert latest_day([None, "soon"], "UTC") is None


@given(
    days=st.lists(st.integers(0, 400), min_size=1, max_size=5),
    target=st.dates(date(2015, 1, 1), date(2026, 11, 22)),
)
def test_a_shifted_series_ends_on_the_day_asked_for(days: list[int], target: date) -> None:
    times = [f"{date(2014, 1, 1) + timedelta(days=day)} 23:59" for day in days]
    last_day = latest_day(times, "UTC")
    assert last_day is not None
    shifted = shifted_to(CLOUDWATCH, last_day=last_day, target=target)
    events = read_rows([(0, {"timestamp": time, "value": "1"}) for time in times], shifted, ALLOWED).events
    assert max(event.occurred_at for event in events).date() == target


# --- columns ----------------------------------------------------------------------------------------


def test_columns_named_as_an_event_is_are_found() -> None:
    columns = ["id", "source", "resource", "quantity", "occurred_at", "note"]
    found = map_columns(columns, Choices(), file_stem="usage")
    assert found == ColumnMapping(
        id=Column("id"),
        source=Column("source"),
        resource=Column("resource"),
        quantity=Column("quantity"),
        occurred_at=Column("occurred_at"),
    )
    assert found.columns == ("id", "source", "resource", "quantity", "occurred_at")


def test_timestamp_and_value_are_found_in_capitals_too_and_the_source_is_the_files_name() -> None:
    found = map_columns(["Timestamp", " Value"], Choices(resource=Resource.CPU), file_stem="vm-1")
    assert found == mapping(occurred_at=Column("Timestamp"), quantity=Column(" Value"))


def test_what_is_chosen_comes_before_what_is_found() -> None:
    columns = ["id", "source", "resource", "quantity", "occurred_at", "a", "b"]
    choices = Choices(
        resource=Resource.CPU,
        source="vm-1",
        id=Column("a"),
        occurred_at=Column("b"),
        quantity=Column("a"),
        factor=Fraction(1, 3),
        time_zone="Europe/Berlin",
    )
    found = map_columns(columns, choices, file_stem="usage")
    assert (found.resource, found.source, found.id) == (Resource.CPU, "vm-1", Column("a"))
    assert (found.factor, found.time_zone) == (Fraction(1, 3), "Europe/Berlin")
    assert found.columns == ("a", "b")


def test_a_chosen_column_that_is_missing_is_told_with_the_columns_that_there_are() -> None:
    with pytest.raises(ColumnMissing, match=r"no column 'vlaue'; its columns are 'timestamp', 'value'\.$"):
        map_columns(["timestamp", "value"], Choices(quantity=Column("vlaue")), file_stem="x")


@pytest.mark.parametrize(
    ("columns", "what"),
    [(["timestamp", "value"], "resource"), (["cpu", "value"], "time"), (["timestamp", "cpu"], "quantity")],
)
def test_what_no_column_tells_must_be_chosen(columns: list[str], what: str) -> None:
    choices = Choices() if what == "resource" else Choices(resource=Resource.CPU)
    with pytest.raises(
        ColumnNotFound, match=f"hold the {what}; its columns are '{columns[0]}', '{columns[1]}'"
    ):
        map_columns(columns, choices, file_stem="x")


def test_mappings_have_the_same_fingerprint_only_when_they_are_the_same() -> None:
    different = [
        CLOUDWATCH,
        mapping(resource=Resource.MEMORY),
        mapping(resource=Column("cpu")),
        mapping(source="vm-2"),
        mapping(source=Column("vm-1")),
        mapping(id=Column("timestamp")),
        mapping(quantity=Column("timestamp")),
        mapping(factor=Fraction(1, 3)),
        mapping(time_zone="Europe/Berlin"),
        mapping(shift_days=1),
    ]
    assert len({fingerprint(each) for each in different}) == len(different)
    assert fingerprint(mapping(factor=Fraction(2, 6))) == fingerprint(mapping(factor=parse_factor("20/60")))
