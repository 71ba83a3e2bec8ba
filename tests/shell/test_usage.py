"""Usage events: stored once for ever, listed newest first."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from core.resource import Resource
from core.tenant import Tenant
from core.usage import UsageEvent
from shell import usage as table
from shell.session import tenant_session
from shell.usage import StoredEvent, UsageKey
from tests.events import store, usage
from tests.installation import Installation, rows

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def listed(
    installation: Installation,
    tenant: Tenant,
    *,
    resource: Resource | None = None,
    source: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    after: UsageKey | None = None,
    limit: int = 100,
) -> list[StoredEvent]:
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        return await table.page(
            session, resource=resource, source=source, start=start, end=end, after=after, limit=limit
        )


async def test_an_event_is_kept_as_it_was_sent(installation: Installation, tenant: Tenant) -> None:
    event = UsageEvent(
        "é/1", "vm 1", Resource.NETWORK, Decimal("0.000000000001"), NOON, {"b": [1, None], "a": "x"}
    )
    before = datetime.now(UTC)
    assert await store(installation, tenant, event) == 1
    (kept,) = await listed(installation, tenant)
    assert (kept.id, kept.source, kept.resource) == (event.id, event.source, event.resource)
    assert (kept.quantity, kept.occurred_at, kept.attributes) == (event.quantity, NOON, event.attributes)
    assert before <= kept.received_at <= datetime.now(UTC)


@pytest.mark.parametrize("quantity", ["0", "-0", "1e3", "999999999999999.999999999999", "0.10", "1E-12"])
async def test_a_quantity_is_kept_exactly(installation: Installation, tenant: Tenant, quantity: str) -> None:
    await store(installation, tenant, usage("one", quantity=quantity))
    (kept,) = await listed(installation, tenant)
    assert kept.quantity == Decimal(quantity)


async def test_an_event_counts_once(installation: Installation, tenant: Tenant) -> None:
    assert await store(installation, tenant, usage("one"), usage("two")) == 2
    assert await store(installation, tenant, usage("one", quantity="99"), usage("three")) == 1
    assert {event.id: event.quantity for event in await listed(installation, tenant)}["one"] == Decimal(1)


async def test_an_event_that_stands_twice_in_a_batch_counts_once(
    installation: Installation, tenant: Tenant
) -> None:
    assert await store(installation, tenant, usage("one"), usage("one", quantity="2")) == 1


async def test_the_same_id_of_two_sources_is_two_events(installation: Installation, tenant: Tenant) -> None:
    assert await store(installation, tenant, usage("one"), usage("one", source="vm-2")) == 2


async def test_the_same_event_of_two_tenants_counts_for_both(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    assert await store(installation, tenant, usage("one")) == 1
    assert await store(installation, other_tenant, usage("one")) == 1


async def test_the_same_batch_of_ten_clients_at_once_counts_once(
    installation: Installation, tenant: Tenant
) -> None:
    events = [usage(f"{number:03d}") for number in range(200)]
    counts = await asyncio.gather(*(store(installation, tenant, *events) for _ in range(10)))
    assert sorted(counts) == [0] * 9 + [200]
    assert len(await rows(installation, f"SELECT FROM {tenant.schema}.usage_events")) == 200


async def test_a_batch_notes_the_quarter_hours_that_it_adds_to(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, usage("old", at=NOON))
    minutes = {"old": 0, "a": 14.999, "b": 15, "c": 44, "d": 45}
    await store(
        installation,
        tenant,
        *(usage(key, at=NOON + timedelta(minutes=value)) for key, value in minutes.items()),
    )
    await store(installation, tenant, usage("old", at=NOON))
    batches = await rows(installation, f"SELECT quarter_hours FROM {tenant.schema}.usage_batches ORDER BY id")
    found = [sorted(msgspec.convert(row["quarter_hours"], list[datetime])) for row in batches]
    assert found == [[NOON], [NOON + timedelta(minutes=each) for each in (0, 15, 30, 45)]]


async def test_pages_hold_every_event_once_while_others_arrive(
    installation: Installation, tenant: Tenant
) -> None:
    chance = random.Random(7)
    first = [
        usage(f"{number:03d}", source=f"vm-{number % 3}", at=NOON + timedelta(hours=chance.randrange(4)))
        for number in range(50)
    ]
    await store(installation, tenant, *first)
    seen: list[StoredEvent] = []
    after: UsageKey | None = None
    for turn in range(100):
        page = await listed(installation, tenant, after=after, limit=7)
        seen += page[:7]
        if len(page) <= 7:
            break
        after = (page[6].occurred_at, page[6].source, page[6].id)
        await store(
            installation,
            tenant,
            usage(f"new-{turn}", source="a", at=NOON + timedelta(hours=chance.randrange(-1, 5))),
        )
    keys = [(event.occurred_at, event.source, event.id) for event in seen]
    assert keys == sorted(set(keys), reverse=True), "in order, none twice"
    assert {event.id for event in first} <= {event.id for event in seen}, "none lost"


async def test_a_list_can_be_narrowed(installation: Installation, tenant: Tenant) -> None:
    hour = timedelta(hours=1)
    await store(
        installation,
        tenant,
        usage("a", at=NOON),
        usage("b", at=NOON + hour, resource=Resource.STORAGE),
        usage("c", at=NOON + 2 * hour, source="vm-2"),
        usage("d", at=NOON + 3 * hour),
    )

    async def ids(**filters: object) -> str:
        return "".join(event.id for event in await listed(installation, tenant, **filters))  # type: ignore[arg-type]  # each call below is a right one

    assert await ids() == "dcba"
    assert await ids(resource=Resource.STORAGE) == "b"
    assert await ids(source="vm-2") == "c"
    assert await ids(start=NOON + hour) == "dcb"
    assert await ids(end=NOON + hour) == "a", "the end is left out"
    assert await ids(start=NOON + hour, end=NOON + 3 * hour, source="vm-1") == "b"
    assert await ids(limit=1) == "dc", "one more than asked for"
