"""Importing files of usage: how a row of a file becomes a usage event, or why it does not."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from core.errors import PlatformError
from core.money import EXACT
from core.resource import Resource
from core.usage import QUANTITY_DECIMALS, UsageEvent, Window, objection

FAULT: Final = "\x00fault"
"""Under this key, which no column has, a row that could not be read says why."""

TIME_COLUMNS: Final = ("occurred_at", "timestamp")
QUANTITY_COLUMNS: Final = ("quantity", "value")
SHOWN_CHARACTERS: Final = 40

# Exponents of more digits are no quantity, and would take for ever to multiply out.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_MAX_NUMBER_CHARACTERS: Final = 100
_EVENT_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_UNITS: Final = 10**QUANTITY_DECIMALS
_FACTOR = re.compile(r"\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)

Row = Mapping[str, object]
"""The values of one row by column: texts, numbers, dates and times, or None."""


class ColumnMissing(PlatformError):
    """The file has no column {column!r}; its columns are {columns}."""

    fields = ("column", "columns")


class ColumnNotFound(PlatformError):
    """No column of the file is known to hold the {what}; its columns are {columns}."""

    fields = ("what", "columns")


class RowRejected(ValueError):
    """A row is no usage event; the message says why."""


class Column(msgspec.Struct, frozen=True):
    """What a row says itself, in the column of this name."""

    name: str


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever imports a file says about it; what is left out is found by the columns' names."""

    resource: Resource | Column | None = None
    source: str | Column | None = None
    id: Column | None = None
    occurred_at: Column | None = None
    quantity: Column | None = None
    factor: Fraction = Fraction(1)
    time_zone: str = "UTC"


class ColumnMapping(msgspec.Struct, frozen=True, kw_only=True):
    """How each row of a file becomes a usage event.

    Without a column of ids, a row's id is its time as it is written there (and its resource, where each row
    has its own). Times without an offset are local to `time_zone`; all are moved by `shift_days` local days.
    """

    resource: Resource | Column
    source: str | Column
    id: Column | None
    occurred_at: Column
    quantity: Column
    factor: Fraction = Fraction(1)
    time_zone: str = "UTC"
    shift_days: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        parts = (self.id, self.source, self.resource, self.quantity, self.occurred_at)
        return tuple(dict.fromkeys(part.name for part in parts if isinstance(part, Column)))


class BadRow(msgspec.Struct, frozen=True):
    """A row that was not imported, by its number in the file, and why."""

    row: int
    reason: str


class Reading(msgspec.Struct, frozen=True):
    """Rows, divided into the events to store, in the order of their keys, and the bad rows."""

    events: list[UsageEvent]
    bad_rows: list[BadRow]


def map_columns(columns: Sequence[str], choices: Choices, *, file_stem: str) -> ColumnMapping:
    """Complete the choices from the names of the file's columns; the source is at last the file's own name.

    Raises ColumnMissing for a chosen column that the file does not have, ColumnNotFound where nothing tells
    the resource, the quantity or the time.
    """
    for choice in (choices.id, choices.source, choices.resource, choices.quantity, choices.occurred_at):
        if isinstance(choice, Column) and choice.name not in columns:
            raise ColumnMissing(column=choice.name, columns=_listed(columns))
    return ColumnMapping(
        id=choices.id or _named(columns, "id"),
        source=choices.source or _named(columns, "source") or file_stem,
        resource=choices.resource or _required(columns, "resource", "resource"),
        quantity=choices.quantity or _required(columns, "quantity", *QUANTITY_COLUMNS),
        occurred_at=choices.occurred_at or _required(columns, "time", *TIME_COLUMNS),
        factor=choices.factor,
        time_zone=choices.time_zone,
    )


def shifted_to(mapping: ColumnMapping, *, last_day: date, target: date) -> ColumnMapping:
    """The mapping that moves a series by whole days, so that its last day becomes the target."""
    return msgspec.structs.replace(mapping, shift_days=(target - last_day).days)


def latest_day(times: Iterable[object], time_zone: str) -> date | None:
    """The latest local day of a series' times, as they stand in the file; what is no time is left out."""
    zone = ZoneInfo(time_zone)
    latest: date | None = None
    for value in times:
        try:
            day = _local_time(value, zone).date()
        except RowRejected:
            continue
        if latest is None or day > latest:
            latest = day
    return latest


def parse_factor(text: str) -> Fraction:
    """The exact value of numbers joined by * and /, as in 4*5/60/100; raises ValueError for anything else."""
    if len(text) > _MAX_NUMBER_CHARACTERS:
        raise ValueError("a factor has at most 100 characters")
    operators = ["*", *re.findall(r"[*/]", text)]
    factor = Fraction(1)
    for operator, part in zip(operators, re.split(r"[*/]", text), strict=True):
        number = part.strip()
        if not _FACTOR.fullmatch(number) or Fraction(number) == 0:
            raise ValueError(f"{text!r} is not made of positive numbers joined by * and /")
        factor = factor * Fraction(number) if operator == "*" else factor / Fraction(number)
    return factor


def fingerprint(mapping: ColumnMapping) -> bytes:
    """Bytes that are the same for the same mapping, and for no other."""
    return msgspec.json.encode(mapping, enc_hook=str)


def read_rows(rows: Iterable[tuple[int, Row]], mapping: ColumnMapping, allowed: Window) -> Reading:
    """Divide numbered rows into events and bad rows.

    The events come in the order of `(source, id)`, so that an import and a batch that share keys lock them
    in one order and never deadlock.
    """
    zone = ZoneInfo(mapping.time_zone)
    events: list[UsageEvent] = []
    bad: list[BadRow] = []
    for number, row in rows:
        try:
            event = _event(row, mapping, zone)
        except RowRejected as rejected:
            bad.append(BadRow(number, str(rejected)))
            continue
        detail = objection(event, allowed)
        if detail is None:
            events.append(event)
        else:
            bad.append(BadRow(number, detail))
    events.sort(key=lambda event: (event.source, event.id))
    return Reading(events, bad)


def _named(columns: Sequence[str], *names: str) -> Column | None:
    """The column with the first of these names, in capitals or not, that there is."""
    found = {column.strip().lower(): column for column in reversed(columns)}
    return next((Column(found[name]) for name in names if name in found), None)


def _required(columns: Sequence[str], what: str, *names: str) -> Column:
    column = _named(columns, *names)
    if column is None:
        raise ColumnNotFound(what=what, columns=_listed(columns))
    return column


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(_shown(column) for column in columns)


def _event(row: Row, mapping: ColumnMapping, zone: ZoneInfo) -> UsageEvent:
    if FAULT in row:
        raise RowRejected(f"row: {row[FAULT]}")
    time = row[mapping.occurred_at.name]
    occurred_at = _instant(time, zone, mapping.shift_days)
    resource = _resource(row, mapping)
    return UsageEvent(
        id=_id(row, mapping, time, resource),
        source=_source(row, mapping),
        resource=resource,
        quantity=_quantity(row[mapping.quantity.name], mapping.factor),
        occurred_at=occurred_at,
    )


def _id(row: Row, mapping: ColumnMapping, time: object, resource: Resource) -> str:
    if mapping.id is not None:
        return _event_text("id", row[mapping.id.name])
    text = _event_text("occurred_at", time)
    # Two resources measured at one time are two events.
    return f"{text} {resource}" if isinstance(mapping.resource, Column) else text


def _source(row: Row, mapping: ColumnMapping) -> str:
    chosen = mapping.source
    return _event_text("source", row[chosen.name] if isinstance(chosen, Column) else chosen)


def _resource(row: Row, mapping: ColumnMapping) -> Resource:
    if isinstance(mapping.resource, Resource):
        return mapping.resource
    value = _present("resource", row[mapping.resource.name])
    try:
        return Resource(str(value).strip())
    except ValueError as error:
        raise RowRejected(f"resource: {_shown(value)} is none of {', '.join(Resource)}") from error


def _event_text(field: str, value: object) -> str:
    """The text of an id or a source: what the API accepts as one."""
    match _present(field, value):
        case str(text):
            pass
        case bool() | float() as other:
            raise RowRejected(f"{field}: {_shown(other)} is not a text")
        case int(number):
            text = str(number)
        case date() as moment:
            text = moment.isoformat()
        case other:
            raise RowRejected(f"{field}: {_shown(other)} is not a text")
    if not _EVENT_TEXT.fullmatch(text):
        raise RowRejected(f"{field}: must have 1 to 200 characters and no control characters")
    if "\ufffd" in text:  # what takes the place of bytes that are no text
        raise RowRejected(f"{field}: is not text in UTF-8")
    return text


def _quantity(value: object, factor: Fraction) -> Decimal:
    """The exact product, rounded half-even to the digits that an event's quantity may have."""
    number = _number(_present("quantity", value))
    if number < 0:  # before a small one is rounded to nothing
        raise RowRejected("quantity: must not be negative")
    over, under = number.as_integer_ratio()
    units = round(Fraction(over * factor.numerator * _UNITS, under * factor.denominator))
    whole, rest = divmod(units, _UNITS)
    return Decimal(units).scaleb(-QUANTITY_DECIMALS, EXACT).normalize(EXACT) if rest else Decimal(whole)


def _number(value: object) -> Decimal:
    match value:
        case bool():
            pass
        case Decimal() | int():
            return Decimal(value)
        case float():
            return _parsed(repr(value))  # the shortest decimal that is this float: what was written once
        case str():
            return _parsed(value.strip())
        case _:
            pass
    raise RowRejected(f"quantity: {_shown(value)} is not a number")


def _parsed(text: str) -> Decimal:
    if len(text) <= _MAX_NUMBER_CHARACTERS and _NUMBER.fullmatch(text):
        return Decimal(text)
    if _NOT_FINITE.fullmatch(text):
        raise RowRejected("quantity: must be a finite number")
    raise RowRejected(f"quantity: {_shown(text)} is not a number")


def _instant(value: object, zone: ZoneInfo, shift_days: int) -> datetime:
    """The instant of a row, moved by whole local days: the time of day stays what it was."""
    try:
        return (_local_time(value, zone) + timedelta(days=shift_days)).astimezone(UTC)
    except OverflowError as error:
        raise RowRejected(f"occurred_at: {_shown(value)} is out of range") from error


def _local_time(value: object, zone: ZoneInfo) -> datetime:
    moment = _moment(_present("occurred_at", value))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(zone)
    except OverflowError as error:
        raise RowRejected(f"occurred_at: {_shown(value)} is out of range") from error


def _moment(value: object) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day)  # noqa: DTZ001 -- local, as its caller says
        case str():
            try:
                return datetime.fromisoformat(value.strip())
            except ValueError:
                pass
        case _:
            pass
    raise RowRejected(f"occurred_at: {_shown(value)} is not a time like 2026-11-23T10:00:00Z")


def _present(field: str, value: object) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowRejected(f"{field}: is missing")
    return value


def _shown(value: object) -> str:
    """A value for a message: its control characters escaped, and not the whole of a long one."""
    text = repr(value[: SHOWN_CHARACTERS + 1] if isinstance(value, str) else str(value))
    return text if len(text) <= SHOWN_CHARACTERS + 2 else f"{text[:SHOWN_CHARACTERS]}…"
