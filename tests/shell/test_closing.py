"""Closing days: aggregation, prices and anomalies of exactly the days that are open."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from core.anomaly import Severity
from core.errors import PriceMissing
from core.period import day_start
from core.pricing import Price, RateCard, rate_card
from core.resource import Resource
from core.tenant import Tenant
from core.usage import UsageEvent
from shell import anomalies, closing, prices
from shell.anomalies import Anomaly
from shell.session import closing_session, platform_session, tenant_session
from tests.events import close, on, store, usage, used
from tests.installation import Installation, found, rows

JUNE = date(2026, 6, 1)
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
ADA = UUID(int=1)


def june(number: int) -> date:
    return JUNE + timedelta(days=number - 1)


async def records(installation: Installation, tenant: Tenant) -> list[Mapping[str, object]]:
    query = f"SELECT * FROM {tenant.schema}.cost_records ORDER BY day, resource"
    return await rows(installation, query)


async def daily(installation: Installation, tenant: Tenant) -> dict[tuple[object, object], object]:
    found_rows = await rows(installation, f"SELECT * FROM {tenant.schema}.daily_usage ORDER BY day, resource")
    return {(row["day"], row["resource"]): row["quantity"] for row in found_rows}


async def anomalies_of(installation: Installation, tenant: Tenant) -> list[Anomaly]:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        return await anomalies.page(session, acknowledged=None, after=None, limit=100)


async def has_open_days(installation: Installation, tenant: Tenant, now: datetime = NOW) -> bool:
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        return await closing.has_open_days(session, now)


# --- aggregation ----------------------------------------------------------------------------------


async def test_events_become_one_record_a_day_and_resource(
    installation: Installation, tenant: Tenant
) -> None:
    await store(
        installation,
        tenant,
        on(june(1), "1.5"),
        on(june(1), "0.25", source="vm-2"),
        on(june(1), "10", resource=Resource.STORAGE),
        on(june(2), "3"),
    )
    closed = await close(installation, tenant, NOW)
    assert closed.aggregated == [june(1), june(2)]
    found_rows = await records(installation, tenant)
    assert [(row["day"], row["resource"], row["quantity"], row["amount"]) for row in found_rows] == [
        (june(1), "cpu", Decimal("1.75"), Decimal("0.035")),
        (june(1), "storage", Decimal(10), Decimal("0.1")),
        (june(2), "cpu", Decimal(3), Decimal("0.06")),
    ]
    events = await rows(
        installation, f"SELECT events FROM {tenant.schema}.daily_usage ORDER BY day, resource"
    )
    assert [row["events"] for row in events] == [2, 1, 1]


@pytest.mark.parametrize("number", [10, 5_000])
async def test_few_events_and_many_sum_alike(installation: Installation, tenant: Tenant, number: int) -> None:
    events = [on(june(1 + index % 2), "0.000000000001", source=f"vm-{index}") for index in range(number)]
    await store(installation, tenant, *events)
    await close(installation, tenant, NOW)
    expected = Decimal(number // 2).scaleb(-12)
    assert await daily(installation, tenant) == {(june(1), "cpu"): expected, (june(2), "cpu"): expected}


async def test_closing_again_changes_nothing(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, *(on(june(number), str(number)) for number in range(1, 20)))
    await close(installation, tenant, NOW)
    query = f"SELECT * FROM {tenant.schema}.daily_usage ORDER BY day"
    before = (await records(installation, tenant), await rows(installation, query))
    assert not await has_open_days(installation, tenant)
    again = await close(installation, tenant, NOW)
    assert (again.aggregated, again.judged, again.new_anomalies) == ([], [], [])
    assert (await records(installation, tenant), await rows(installation, query)) == before


async def test_exactly_the_days_that_new_events_touch_are_computed_again(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *(on(june(number), "1") for number in range(1, 8)))
    await close(installation, tenant, NOW)
    await store(installation, tenant, on(june(3), "1", source="late"), on(june(6), "1", source="late"))
    closed = await close(installation, tenant, NOW + timedelta(hours=1))
    assert closed.aggregated == [june(3), june(6)]
    query = f"SELECT day FROM {tenant.schema}.daily_usage WHERE aggregated_at > $1 ORDER BY day"
    touched = await rows(installation, query, NOW)
    assert [row["day"] for row in touched] == [june(3), june(6)]
    assert set((await daily(installation, tenant)).values()) == {Decimal(1), Decimal(2)}


async def test_a_duplicate_opens_no_day(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, on(june(1), "1"))
    await close(installation, tenant, NOW)
    await store(installation, tenant, on(june(1), "1"))
    assert not await has_open_days(installation, tenant)


async def test_the_days_of_a_tenant_are_those_of_its_time_zone(installation: Installation) -> None:
    zones = {"Europe/Berlin": "2026-05-31T22:00:00Z", "America/New_York": "2026-06-01T04:00:00Z"}
    for zone, midnight in zones.items():
        tenant = await found(installation, time_zone=zone)
        start = datetime.fromisoformat(midnight)
        assert start == day_start(JUNE, zone)
        await store(
            installation,
            tenant,
            usage("before", quantity="1", at=start - timedelta(microseconds=1)),
            usage("at", quantity="10", at=start),
            usage("after", quantity="100", at=start + timedelta(microseconds=1)),
        )
        await close(installation, tenant, NOW)
        may = JUNE - timedelta(days=1)
        assert await daily(installation, tenant) == {(may, "cpu"): Decimal(1), (JUNE, "cpu"): Decimal(110)}


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
async def test_a_day_on_which_clocks_change_has_all_of_its_hours(
    installation: Installation, tenant: Tenant, day: date, hours: int
) -> None:
    start = day_start(day, "Europe/Berlin")
    hourly = [usage(str(number), at=start + timedelta(hours=number)) for number in range(-1, hours + 1)]
    await store(installation, tenant, *hourly)
    await close(installation, tenant, datetime(2026, 11, 1, tzinfo=UTC))
    assert (await daily(installation, tenant))[(day, "cpu")] == Decimal(hours)


async def test_sums_are_exact_to_the_last_digit(installation: Installation, tenant: Tenant) -> None:
    largest, smallest = "999999999999999.999999999999", "0.000000000001"
    await store(
        installation,
        tenant,
        *(on(june(1), largest, source=f"vm-{number}") for number in range(50)),
        *(on(june(1), smallest, source=f"meter-{number}") for number in range(3)),
        on(june(2), "0"),
    )
    await close(installation, tenant, NOW)
    assert await daily(installation, tenant) == {
        (june(1), "cpu"): Decimal("49999999999999999.999999999953"),
        (june(2), "cpu"): Decimal(0),
    }


async def test_in_whatever_order_and_batches_events_arrive_the_records_are_the_same(
    installation: Installation,
) -> None:
    chance = random.Random(20261123)
    events = [
        usage(
            str(number),
            resource=chance.choice(list(Resource)),
            quantity=str(Decimal(chance.randrange(10**9)) / 10**6),
            at=day_start(JUNE, "Europe/Berlin") + timedelta(minutes=chance.randrange(20 * 24 * 60)),
        )
        for number in range(300)
    ]
    outcomes = []
    for sizes in ([300], [1] * 30 + [270], [7] * 43):
        tenant = await found(installation)
        shuffled = chance.sample(events, len(events))
        for size in sizes:
            batch, shuffled = shuffled[:size], shuffled[size:]
            await store(installation, tenant, *batch)
            if chance.random() < 0.3:
                await close(installation, tenant, NOW)
        await close(installation, tenant, NOW)
        found_anomalies = {
            (each.day, each.resource, each.z_score) for each in await anomalies_of(installation, tenant)
        }
        outcomes.append((await records(installation, tenant), found_anomalies))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    total = sum((Decimal(str(row["quantity"])) for row in outcomes[0][0]), Decimal(0))
    assert total == sum(event.quantity for event in events)


async def test_events_that_arrive_while_days_are_closed_stay_open(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, on(june(1), "1"))
    async with closing_session(installation.pool, tenant.id) as session:
        await closing.close_days(session, NOW)
        await store(
            installation, tenant, on(june(1), "1", source="meanwhile")
        )  # committed before the closing is
    assert await has_open_days(installation, tenant)
    await close(installation, tenant, NOW)
    assert await daily(installation, tenant) == {(june(1), "cpu"): Decimal(2)}


async def test_closing_and_recording_side_by_side_lose_nothing(
    installation: Installation, tenant: Tenant
) -> None:
    async def record(number: int) -> None:
        await store(installation, tenant, on(june(1 + number % 5), "1", source=f"vm-{number}"))

    work = [record(number) if number % 4 else close(installation, tenant, NOW) for number in range(60)]
    await asyncio.gather(*work)
    await close(installation, tenant, NOW)
    assert sum(Decimal(str(value)) for value in (await daily(installation, tenant)).values()) == Decimal(45)


async def test_a_closing_that_fails_leaves_its_days_open(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, on(june(1), "1"), on(june(2), "1", resource=Resource.NETWORK))
    with pytest.raises(PriceMissing):
        async with closing_session(installation.pool, tenant.id) as session:
            versions = {key: value for key, value in session.card.versions.items() if key != "network"}
            await closing.close_days(msgspec.structs.replace(session, card=RateCard(versions)), NOW)
    assert await records(installation, tenant) == []
    assert await has_open_days(installation, tenant)
    await close(installation, tenant, NOW)
    assert len(await records(installation, tenant)) == 2


async def test_progress_goes_from_nothing_towards_all(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, *(on(june(number), "1") for number in (1, 2, 5, 9)))
    shares: list[float] = []
    async with closing_session(installation.pool, tenant.id) as session:
        await closing.close_days(session, NOW, shares.append)
    assert shares == [0, 1 / 3, 2 / 3], "one for each run of days"


# --- prices ---------------------------------------------------------------------------------------


async def test_each_day_has_the_price_that_was_in_force_on_it(
    installation: Installation, tenant: Tenant
) -> None:
    async with platform_session(installation.pool) as session:
        agreed = await prices.insert(
            session,
            tenant_id=tenant.id,
            resource=Resource.CPU,
            unit_price=Decimal("0.005"),
            effective_from=june(2),
        )
    await store(installation, tenant, *(on(june(number), "2") for number in (1, 2, 3)))
    await close(installation, tenant, NOW)
    found_rows = await records(installation, tenant)
    assert [(row["unit_price"], row["amount"]) for row in found_rows] == [
        (Decimal("0.02"), Decimal("0.04")),
        (Decimal("0.005"), Decimal("0.01")),
        (Decimal("0.005"), Decimal("0.01")),
    ]
    assert [row["price_id"] == agreed.id for row in found_rows] == [False, True, True]


async def test_amounts_are_rounded_half_up_to_six_digits(installation: Installation, tenant: Tenant) -> None:
    card = rate_card([Price(UUID(int=7), None, Resource.CPU, Decimal("0.0000015"), "EUR", date(2020, 1, 1))])
    await store(installation, tenant, on(june(1), "1"), on(june(2), "0.3"), on(june(3), "3"))
    async with closing_session(installation.pool, tenant.id) as session:
        await closing.close_days(msgspec.structs.replace(session, card=card), NOW)
    amounts = [row["amount"] for row in await records(installation, tenant)]
    assert amounts == [Decimal("0.000002"), Decimal("0.000000"), Decimal("0.000005")]


# --- anomalies --------------------------------------------------------------------------------------


def week(*quantities: str) -> list[UsageEvent]:
    return [on(june(number), quantity) for number, quantity in enumerate(quantities, start=1)]


STEADY = ("10", "11", "9", "10", "12", "8", "10")


async def test_a_day_far_from_the_week_before_it_is_an_anomaly(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week(*STEADY, "20"))
    closed = await close(installation, tenant, NOW)
    assert closed.new_anomalies == [Resource.CPU]
    (anomaly,) = await anomalies_of(installation, tenant)
    # mean 10, sample standard deviation sqrt(10 / 6) = 1.2910
    assert (anomaly.day, anomaly.resource, anomaly.observed) == (june(8), Resource.CPU, Decimal(20))
    assert anomaly.z_score == pytest.approx(10 / (10 / 6) ** 0.5)
    assert anomaly.expected == pytest.approx(10)
    assert anomaly.expected_low == pytest.approx(10 - 2.5 * (10 / 6) ** 0.5)
    assert anomaly.expected_high == pytest.approx(10 + 2.5 * (10 / 6) ** 0.5)
    assert anomaly.severity is Severity.HIGH
    assert anomaly.acknowledged_at is None


async def test_a_day_that_is_not_over_is_not_judged(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, *week(*STEADY, "500"))
    running = day_start(june(8), "Europe/Berlin") + timedelta(hours=23, minutes=59)
    closed = await close(installation, tenant, running)
    assert june(8) in closed.aggregated
    assert june(8) not in closed.judged
    assert await anomalies_of(installation, tenant) == []
    assert not await has_open_days(installation, tenant, running)
    over = day_start(june(9), "Europe/Berlin")
    assert await has_open_days(installation, tenant, over)
    assert (await close(installation, tenant, over)).judged == [june(8)]
    assert len(await anomalies_of(installation, tenant)) == 1


async def test_a_day_with_less_than_three_days_before_it_is_no_anomaly(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week("1", "1", "1000"))
    await close(installation, tenant, NOW)
    assert await anomalies_of(installation, tenant) == []


async def test_usage_that_never_varied_before_still_has_anomalies(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week("10", "10", "10", "10", "10.2", "11"))
    await close(installation, tenant, NOW)
    assert june(6) in {anomaly.day for anomaly in await anomalies_of(installation, tenant)}


async def test_late_usage_withdraws_an_anomaly_that_was_none(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week(*STEADY, "2"))
    await close(installation, tenant, NOW)
    assert [anomaly.day for anomaly in await anomalies_of(installation, tenant)] == [june(8)]
    await store(installation, tenant, on(june(8), "8", source="late"))
    closed = await close(installation, tenant, NOW)
    assert closed.new_anomalies == []
    assert await anomalies_of(installation, tenant) == []


async def test_late_usage_changes_an_anomaly_without_making_it_new(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week(*STEADY, "20"))
    await close(installation, tenant, NOW)
    (first,) = await anomalies_of(installation, tenant)
    await store(installation, tenant, on(june(8), "5", source="late"))
    closed = await close(installation, tenant, NOW)
    (second,) = await anomalies_of(installation, tenant)
    assert closed.new_anomalies == []
    assert (second.id, second.observed) == (first.id, Decimal(25))
    assert second.z_score > first.z_score


async def test_an_acknowledged_anomaly_is_kept_whatever_arrives_late(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, *week(*STEADY, "2"))
    await close(installation, tenant, NOW)
    (first,) = await anomalies_of(installation, tenant)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await anomalies.acknowledge(session, first.id, by=ADA, note="a test")
    await store(installation, tenant, on(june(8), "8", source="late"))
    await close(installation, tenant, NOW)
    (kept,) = await anomalies_of(installation, tenant)
    assert (kept.id, kept.note, kept.acknowledged_by) == (first.id, "a test", ADA)


async def test_late_usage_of_a_day_judges_the_week_after_it_again(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(june(number), "10") for number in range(1, 16)])
    await store(installation, tenant, on(june(4), "1", source="late"))
    closed = await close(installation, tenant, NOW)
    assert closed.aggregated == [june(4)]
    assert closed.judged == [june(number) for number in range(4, 12)]


async def test_each_resource_is_judged_by_its_own_history(installation: Installation, tenant: Tenant) -> None:
    network = [on(june(number), "500", resource=Resource.NETWORK) for number in range(1, 9)]
    await store(installation, tenant, *week(*STEADY, "20"), *network)
    closed = await close(installation, tenant, NOW)
    assert closed.new_anomalies == [Resource.CPU]
