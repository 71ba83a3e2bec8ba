"""Usage events by the batch: the same rows as JSON for the API and as records for COPY."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from core.resource import Resource

BATCH = 1_000
SOURCES = 20
SPACING = timedelta(milliseconds=300)
COLUMNS = ("source", "id", "resource", "quantity", "occurred_at", "received_at", "attributes")

Record = tuple[str, str, str, Decimal, datetime, datetime, None]
_RESOURCES = [resource.value for resource in Resource]


def batches(number: int, *, seed: int) -> Iterator[list[Record]]:
    """Batches of a thousand events of the last hours, as twenty machines would send them together.

    Ids are random UUIDs, as most senders make them. No two seeds share an id.
    """
    rng = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0)
    first = now - number * BATCH * SPACING
    for index in range(number):
        start = first + index * BATCH * SPACING
        yield [_record(rng, start + position * SPACING, now) for position in range(BATCH)]


def body(records: list[Record]) -> bytes:
    """The body of the request that reports these events."""
    return msgspec.json.encode(
        [
            {
                "id": id_,
                "source": source,
                "resource": resource,
                "quantity": quantity,
                "occurred_at": occurred_at,
            }
            for source, id_, resource, quantity, occurred_at, _, _ in records
        ]
    )


def _record(rng: random.Random, occurred_at: datetime, received_at: datetime) -> Record:
    return (
        f"vm-{rng.randrange(SOURCES):02d}",
        str(UUID(int=rng.getrandbits(128), version=4)),
        rng.choice(_RESOURCES),
        Decimal(rng.randrange(1, 1_000_000)).scaleb(-4),
        occurred_at,
        received_at,
        None,
    )
