from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BeforeHorizon
from core.retention import (
    LEAST_AUDIT_DETAILS,
    LEAST_DEACTIVATED,
    LEAST_IN_BACKUPS,
    LEAST_TRANSACTIONAL,
    AgedTable,
    Mark,
    Plan,
    RetentionPolicy,
    audit_details_before,
    deactivated_before,
    horizon_of,
    limit_of,
    plan,
    require_after,
)

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe"]
)
TARGETS = st.sampled_from(list(AgedTable))
POLICIES = st.builds(
    RetentionPolicy,
    transactional_days=st.integers(LEAST_TRANSACTIONAL, 400),
    user_activity_days=st.integers(30, 400),
    files_days=st.integers(30, 400),
    grace_days=st.integers(1, 60),
    audit_details_days=st.none() | st.integers(LEAST_AUDIT_DETAILS, 400),
    deactivated_people_days=st.none() | st.integers(LEAST_DEACTIVATED, 400),
)
RUNS = st.lists(st.tuples(st.integers(1, 40 * 24), POLICIES, st.booleans()), min_size=1, max_size=12)
"""Runs of the engine: hours since the run before, the policy by then, and whether there is a hold."""


def applied(marks: list[Mark], decided: Plan, now: datetime) -> list[Mark]:
    """The marks after a run, as the shell writes them."""
    left = [mark for mark in marks if mark.before not in decided.show_again]
    if decided.hide_before is not None and decided.hide_before not in {mark.before for mark in left}:
        left.append(Mark(decided.hide_before, now))
    done = decided.delete_before
    return [
        msgspec.structs.replace(mark, deleted_at=now) if mark.before == done else mark
        for mark in left
        if done is None or mark.before >= done
    ]


@given(TARGETS, ZONES, RUNS)
def test_nothing_is_deleted_that_is_young_or_held_or_without_its_grace(
    target: AgedTable, zone: str, runs: list[tuple[int, RetentionPolicy, bool]]
) -> None:
    now, marks, gone = NOW, list[Mark](), list[datetime]()
    for hours, policy, is_held in runs:
        now += timedelta(hours=hours)
        decided = plan(policy, target, marks, now=now, time_zone=zone, is_held=is_held)
        deleted = decided.delete_before
        if deleted is not None:
            assert not is_held
            assert deleted <= now - limit_of(policy, target), "nothing younger than its limit"
            since = next(mark.marked_at for mark in marks if mark.before == deleted)
            assert now - since >= timedelta(days=policy.grace_days), "nothing without its grace"
        if decided.hide_before is not None:
            assert decided.hide_before <= now - limit_of(policy, target), "nor hidden"
        marks = applied(marks, decided, now)
        gone += [deleted] if deleted is not None else []
        assert not gone or max(gone) <= max(mark.before for mark in marks), "the horizon stays"


@given(TARGETS, ZONES, POLICIES)
def test_what_is_too_old_is_hidden_then_deleted_when_its_grace_is_over(
    target: AgedTable, zone: str, policy: RetentionPolicy
) -> None:
    first = plan(policy, target, [], now=NOW, time_zone=zone, is_held=False)
    assert first == Plan(horizon_of(policy, target, NOW, zone), (), None)
    marks = applied([], first, NOW)
    later = NOW + timedelta(days=policy.grace_days)
    second = plan(policy, target, marks, now=later, time_zone=zone, is_held=False)
    assert second.delete_before == first.hide_before
    again = plan(policy, target, applied(marks, second, later), now=later, time_zone=zone, is_held=False)
    assert again == Plan(None, (), None)


def test_a_longer_policy_shows_again_what_was_hidden() -> None:
    short, long = RetentionPolicy(transactional_days=40), RetentionPolicy(transactional_days=90)
    hidden = plan(short, AgedTable.USAGE_EVENTS, [], now=NOW, time_zone="UTC", is_held=False)
    marks = applied([], hidden, NOW)
    later = NOW + timedelta(days=40)
    decided = plan(long, AgedTable.USAGE_EVENTS, marks, now=later, time_zone="UTC", is_held=False)
    assert decided.show_again == (hidden.hide_before,)
    assert decided.delete_before is None


@pytest.mark.parametrize("days", [0, LEAST_TRANSACTIONAL - 1, 3_651])
def test_a_policy_keeps_usage_at_least_as_long_as_it_may_arrive(days: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"transactional_days": days}, RetentionPolicy)


def test_usage_from_before_the_horizon_is_refused() -> None:
    require_after(None, [NOW])
    require_after(NOW, [NOW])
    with pytest.raises(BeforeHorizon):
        require_after(NOW, [NOW + timedelta(days=1), NOW - timedelta(microseconds=1)])


@given(POLICIES, st.booleans())
def test_audit_details_and_deactivated_people_stay_for_limit_and_grace_and_for_ever_under_a_hold(
    policy: RetentionPolicy, is_held: bool
) -> None:
    for limit_days, decide in (
        (policy.audit_details_days, audit_details_before),
        (policy.deactivated_people_days, deactivated_before),
    ):
        before = decide(policy, now=NOW, is_held=is_held)
        if limit_days is None or is_held:
            assert before is None
        else:
            assert before == NOW - timedelta(days=limit_days) - timedelta(days=policy.grace_days)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("audit_details_days", LEAST_AUDIT_DETAILS),
        ("deactivated_people_days", LEAST_DEACTIVATED),
        ("backups_days", LEAST_IN_BACKUPS),
    ],
)
def test_a_limit_that_is_too_short_or_too_long_is_refused(name: str, least: int) -> None:
    for days in (0, least - 1, 3_651):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({name: days}, RetentionPolicy)
    assert msgspec.convert({name: least}, RetentionPolicy) != RetentionPolicy()
