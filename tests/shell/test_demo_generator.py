from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from core.evaluation import LabelledWindow, Score, evaluate_series, total_score
from core.money import decimals
from core.period import day_start, local_day, month_of_day
from core.resource import Resource
from core.usage import UsageEvent, objection, window
from shell.demo.generator import DAYS, SERIES, GeneratedUsage, generate_usage, planted_anomalies

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 23, 18, 50, 3, tzinfo=UTC)
A_DAY = timedelta(days=1)


@cache
def generated(end: datetime = NOW, time_zone: str = BERLIN) -> GeneratedUsage:
    return generate_usage(end, time_zone=time_zone)


def by_key(events: Iterable[UsageEvent]) -> dict[tuple[str, str], UsageEvent]:
    return {(event.source, event.id): event for event in events}


def score_of(usage: GeneratedUsage, time_zone: str = BERLIN) -> Score:
    """What the designed rule finds, resource by resource, as it does for a tenant."""
    scores = []
    for resource in Resource:
        events = [event for event in usage.events if event.resource is resource]
        windows = [
            LabelledWindow(day_start(item.day, time_zone), day_start(item.day, time_zone) + A_DAY / 2)
            for item in usage.planted
            if item.resource is resource
        ]
        scores.append(evaluate_series(events, windows, time_zone=time_zone).score)
    return total_score(scores)


def test_the_same_end_gives_the_same_usage() -> None:
    assert generated() == generate_usage(NOW, time_zone=BERLIN)


def test_another_seed_gives_other_usage() -> None:
    other = generate_usage(NOW, time_zone=BERLIN, seed=7)
    assert by_key(other.events).keys() == by_key(generated().events).keys()
    assert other.events != generated().events


def test_a_later_end_adds_hours_and_changes_none_of_this_day() -> None:
    earlier = by_key(generated().events)
    later = by_key(generated(NOW + timedelta(hours=2)).events)
    assert {key: later[key] for key in earlier} == earlier
    assert len(later) == len(earlier) + 2 * len(SERIES)


def test_ids_are_unique() -> None:
    events = generated().events
    assert len(by_key(events)) == len(events)


def test_usage_ends_now_and_begins_at_least_sixty_days_ago_at_midnight() -> None:
    events = generated().events
    times = [event.occurred_at for event in events]
    assert times == sorted(times)
    assert NOW - timedelta(hours=1) < times[-1] <= NOW
    first = times[0].astimezone(ZoneInfo(BERLIN))
    assert (first.hour, first.minute) == (0, 0)
    assert DAYS <= (local_day(NOW, BERLIN) - first.date()).days < DAYS + 7


def test_every_event_is_one_that_the_api_admits() -> None:
    allowed = window(NOW, backfill=True)
    events = generated().events
    assert [event for event in events if objection(event, allowed) is not None] == []
    assert max(decimals(event.quantity) for event in events) <= 6
    assert {event.resource for event in events} == set(Resource)


@pytest.mark.parametrize("days_later", range(7))
@pytest.mark.parametrize("time_zone", [BERLIN, "America/New_York"])
def test_the_rule_finds_both_planted_anomalies_and_nothing_else(days_later: int, time_zone: str) -> None:
    score = score_of(generated(NOW + A_DAY * days_later, time_zone), time_zone)
    assert (score.windows, score.found) == (2, 2)
    assert (score.flagged, score.true_positives) == (2, 2)


@pytest.mark.parametrize("today", [date(2026, 3, 1) + A_DAY * number for number in range(0, 365, 5)])
def test_anomalies_are_planted_on_complete_days_of_this_month_or_the_last(today: date) -> None:
    for planted in planted_anomalies(today):
        assert planted.day < today
        assert planted.day >= month_of_day(today).preceding.first_day
        assert today - planted.day <= timedelta(days=28)


def test_usage_follows_day_and_week() -> None:
    usage = generated()
    calls = [event for event in usage.events if event.resource is Resource.API_CALLS]
    wrong = {item.day for item in usage.planted}
    local = [(event.occurred_at.astimezone(ZoneInfo(BERLIN)), event.quantity) for event in calls]
    ordinary = [(time, quantity) for time, quantity in local if time.date() not in wrong]
    nights = [quantity for time, quantity in ordinary if time.hour < 6]
    days = [quantity for time, quantity in ordinary if 9 <= time.hour < 18]
    weekend = [quantity for time, quantity in ordinary if time.weekday() >= 5]
    week = [quantity for time, quantity in ordinary if time.weekday() < 5]
    assert sum(days) / len(days) > 2 * sum(nights) / len(nights)
    assert sum(week) / len(week) > sum(weekend) / len(weekend)
