"""Usage events: what a tenant's machine reports, and which events are admitted."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from core.errors import BeforeHorizon, InvalidInput, MalformedBody
from core.money import decimals
from core.resource import Resource

MAX_EVENTS = 10_000
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ATTRIBUTES_BYTES = 4_096
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTES_DEPTH = 16
"""What could just be read would be too deep for those who write it out again on a deeper stack."""
QUANTITY_DECIMALS = 12
QUANTITY_DIGITS = 15
"""Before the point; a zero may not have more either, since PostgreSQL cannot read 0E+999999999999."""
MAX_QUANTITY_CHARACTERS = 40
MAX_AHEAD = timedelta(minutes=5)
MAX_BEHIND = timedelta(days=35)
OLDEST = datetime(1972, 1, 1, tzinfo=UTC)
"""Nothing is metered before UTC had leap seconds; also bounds what a back-fill may send."""

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

# The pattern is for readers of the OpenAPI document; `objection` checks it, since msgspec's search in each
# text would take longer than all the rest of admission.
EventText = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=200, extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f]+$"}),
]


# Without the garbage collector's tracking: events come by the thousand, and none is part of a cycle.
class UsageEvent(msgspec.Struct, frozen=True, gc=False):
    """One measurement; `(source, id)` names it for ever within its tenant."""

    id: Annotated[
        EventText, msgspec.Meta(description="Unique within the source.", examples=["2026-11-23T10:00:00Z"])
    ]
    source: Annotated[
        EventText, msgspec.Meta(description="Which machine or meter measured.", examples=["vm-1"])
    ]
    resource: Resource
    quantity: Annotated[
        Decimal,
        msgspec.Meta(
            description="In the resource's unit; a string or a number, below 10^15, at most 12 decimals.",
            examples=["0.25"],
        ),
    ]
    occurred_at: Annotated[
        datetime,
        msgspec.Meta(tz=True, description="RFC 3339, with an offset.", examples=["2026-11-23T10:00:00Z"]),
    ]
    attributes: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="Anything to remember with it: up to 64 keys, 16 levels, 4,096 bytes."),
    ] = None


class CloudEvent(msgspec.Struct, frozen=True):
    """The same measurement in CloudEvents 1.0: `type` is `usage.<resource>`, `data` has the quantity."""

    specversion: Annotated[str, msgspec.Meta(pattern=r"^1\.0$(?!\n)")]
    id: EventText
    source: EventText
    type: Annotated[str, msgspec.Meta(pattern=r"^usage\.(" + "|".join(Resource) + r")$(?!\n)")]
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: "CloudEventData"


class CloudEventData(msgspec.Struct, frozen=True):
    """What was measured."""

    quantity: Decimal
    attributes: dict[str, Any] | None = None


class Window(msgspec.Struct, frozen=True):
    """The instants between which an event may have occurred."""

    earliest: datetime
    latest: datetime


class Rejection(msgspec.Struct, frozen=True):
    """Why one event of a batch was not taken."""

    index: int
    detail: str


class Admission(msgspec.Struct, frozen=True):
    """A batch, divided into the events to store, in the order of their keys, and the rejected ones."""

    events: list[UsageEvent]
    rejected: list[Rejection]


def window(now: datetime, *, backfill: bool) -> Window:
    """The time window of a batch that arrives now: five minutes ahead, 35 days behind unless back-filling."""
    return Window(earliest=OLDEST if backfill else now - MAX_BEHIND, latest=now + MAX_AHEAD)


def since(allowed: Window, refused: BeforeHorizon) -> Window:
    """The part of a window that begins no earlier than the horizon that refused an event."""
    return Window(max(allowed.earliest, datetime.fromisoformat(refused.data["horizon"])), allowed.latest)


def admit(body: bytes, allowed: Window, *, cloud_events: bool = False) -> Admission:
    """Decode a batch and divide it into valid events and rejections.

    The events come back in the order of `(source, id)`, so that two batches that share keys lock them in
    one order and never deadlock.

    Raises MalformedBody for what is no JSON, InvalidInput for what is no array of 1 to 10,000 values.
    """
    decoded, rejected = _decode(body, cloud_events=cloud_events)
    events: list[UsageEvent] = []
    for index, event in decoded:
        detail = objection(event, allowed)
        if detail is None:
            events.append(event)
        else:
            rejected.append(Rejection(index, detail))
    events.sort(key=_key)
    rejected.sort(key=lambda rejection: rejection.index)
    return Admission(events, rejected)


def objection(event: UsageEvent, allowed: Window) -> str | None:
    """What is wrong with an event whose types are right, or None."""
    return (
        _key_objection(event)
        or _quantity_objection(event.quantity)
        or _time_objection(event.occurred_at, allowed)
        or (_attributes_objection(event.attributes) if event.attributes is not None else None)
    )


def _key(event: UsageEvent) -> str:
    """Orders events as `(source, id)` would, faster: NUL comes before every character that a key may have."""
    return f"{event.source}\0{event.id}"


def _key_objection(event: UsageEvent) -> str | None:
    if event.id.isprintable() and event.source.isprintable():  # says much faster that there is none
        return None
    for field, text in (("id", event.id), ("source", event.source)):
        if CONTROL_CHARACTER.search(text):
            return f"{field}: must not contain control characters"
    return None


def _quantity_objection(quantity: Decimal) -> str | None:
    if not quantity.is_finite():
        return "quantity: must be a finite number"
    if quantity.is_signed() and quantity != 0:
        return "quantity: must not be negative"
    if quantity.adjusted() >= QUANTITY_DIGITS:
        return f"quantity: must be below 10^{QUANTITY_DIGITS}"
    text = str(quantity)
    if len(text) <= len("0.") + QUANTITY_DECIMALS and "E" not in text:
        return None  # there is no room for more decimals
    # The length first: taking a number of a million digits apart would cost more than it is worth.
    if len(text) > MAX_QUANTITY_CHARACTERS or decimals(quantity) > QUANTITY_DECIMALS:
        return "quantity: must have at most 12 decimals"
    return None


def _time_objection(occurred_at: datetime, allowed: Window) -> str | None:
    if occurred_at > allowed.latest:
        return "occurred_at: is more than 5 minutes in the future"
    if occurred_at < allowed.earliest:
        earliest = allowed.earliest.isoformat(timespec="seconds")
        return f"occurred_at: is before {earliest}, the earliest admitted"
    return None


def _attributes_objection(attributes: dict[str, Any]) -> str | None:
    if len(attributes) > MAX_ATTRIBUTES:
        return f"attributes: must have at most {MAX_ATTRIBUTES} keys"
    if _is_nested_deeper(attributes, MAX_ATTRIBUTES_DEPTH):
        return f"attributes: must have at most {MAX_ATTRIBUTES_DEPTH} levels"
    encoded = msgspec.json.encode(attributes)
    if len(encoded) > MAX_ATTRIBUTES_BYTES:
        return f"attributes: must have at most {MAX_ATTRIBUTES_BYTES} bytes"
    if b"\\u0000" in encoded.replace(rb"\\", b""):  # PostgreSQL's jsonb has no NUL
        return "attributes: must not contain NUL characters"
    return None


def _is_nested_deeper(outermost: dict[str, Any] | list[Any], levels: int) -> bool:
    level: list[dict[str, Any] | list[Any]] = [outermost]
    for _ in range(levels):
        values = (
            value for outer in level for value in (outer.values() if isinstance(outer, dict) else outer)
        )
        level = [value for value in values if isinstance(value, (dict, list))]
    return bool(level)


_events_decoder = msgspec.json.Decoder(list[UsageEvent])
_event_decoder = msgspec.json.Decoder(UsageEvent)
_cloud_event_decoder = msgspec.json.Decoder(CloudEvent)
_values_decoder = msgspec.json.Decoder(list[msgspec.Raw])

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, for JSON of other types, and for thousands of brackets."""


def _decode(body: bytes, *, cloud_events: bool) -> tuple[Iterable[tuple[int, UsageEvent]], list[Rejection]]:
    """Decode the whole batch at once; only a batch with a fault, or of CloudEvents, is taken apart."""
    if not cloud_events:
        try:
            events = _events_decoder.decode(body)
        except UNREADABLE:
            pass  # find out which event is at fault, or whether this is no JSON at all
        else:
            _require_size(events)
            return enumerate(events), []
    return _decode_one_by_one(_values(body), cloud_events=cloud_events)


def _values(body: bytes) -> list[msgspec.Raw]:
    try:
        values = _values_decoder.decode(body)
    except msgspec.ValidationError as error:
        problem = {"field": "$", "detail": "must be an array of events"}
        raise InvalidInput(errors=[problem]) from error
    except UNREADABLE as error:
        raise MalformedBody(detail=_detail(error)) from error
    _require_size(values)
    return values


def _require_size(values: Sequence[object]) -> None:
    if not 1 <= len(values) <= MAX_EVENTS:
        detail = f"must hold 1 to {MAX_EVENTS} events, not {len(values)}"
        raise InvalidInput(errors=[{"field": "$", "detail": detail}])


def _decode_one_by_one(
    values: list[msgspec.Raw], *, cloud_events: bool
) -> tuple[list[tuple[int, UsageEvent]], list[Rejection]]:
    decoded: list[tuple[int, UsageEvent]] = []
    rejected: list[Rejection] = []
    for index, value in enumerate(values):
        try:
            event = (
                _from_cloud_event(_cloud_event_decoder.decode(value))
                if cloud_events
                else _event_decoder.decode(value)
            )
        except UNREADABLE as error:
            rejected.append(Rejection(index, _detail(error)))
        else:
            decoded.append((index, event))
    return decoded, rejected


def _from_cloud_event(event: CloudEvent) -> UsageEvent:
    return UsageEvent(
        id=event.id,
        source=event.source,
        resource=Resource(event.type.removeprefix("usage.")),
        quantity=event.data.quantity,
        occurred_at=event.time,
        attributes=event.data.attributes,
    )


def _detail(error: Exception) -> str:
    """msgspec says `Expected … - at `$.quantity``; the field comes first, as in our own objections."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    text, _, place = str(error).partition(" - at ")
    field = place.strip("`").removeprefix("$").removeprefix(".")
    return f"{field}: {text}" if field else text
