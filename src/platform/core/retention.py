"""Retention: how long data is kept, when it is deleted for readers, and when for good.

Deletion has two steps. A mark hides what is older than a limit from readers; after the grace period what is
below the mark is deleted for good. Marks lie on the first instant of a local day, so that a day is kept or
deleted as a whole and no day is ever aggregated from half of its events. Invoices, cost records and daily
sums are no targets: the law makes one keep them, for longer than any policy.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from core.errors import BeforeHorizon
from core.period import day_start, local_day
from core.usage import MAX_BEHIND

MAX_DAYS = 3_650
LEAST_AUDIT_DETAILS = 180
"""What was done must stay explainable for as long as it is likely to be looked into."""

LEAST_DEACTIVATED = 30
"""Who was deactivated by mistake is noticed before the account is gone."""

LEAST_IN_BACKUPS = 7
"""What was lost is noticed before it is lost for good."""

LEAST_TRANSACTIONAL = MAX_BEHIND.days + 1
"""Usage that may still arrive is never below the horizon."""


class RetentionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many days each category is kept, and how many lie between hiding and deleting.

    Audit entries stay for good; without a limit of their own, so do their details and addresses. Without one,
    accounts that were deactivated stay until somebody erases them, and backups hold the tenant as long as
    the operator keeps them.
    """

    transactional_days: Annotated[int, msgspec.Meta(ge=LEAST_TRANSACTIONAL, le=MAX_DAYS)] = 90
    user_activity_days: Annotated[int, msgspec.Meta(ge=30, le=MAX_DAYS)] = 180
    files_days: Annotated[int, msgspec.Meta(ge=30, le=MAX_DAYS)] = 365
    grace_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    audit_details_days: Annotated[int, msgspec.Meta(ge=LEAST_AUDIT_DETAILS, le=MAX_DAYS)] | None = None
    deactivated_people_days: Annotated[int, msgspec.Meta(ge=LEAST_DEACTIVATED, le=MAX_DAYS)] | None = None
    backups_days: Annotated[int, msgspec.Meta(ge=LEAST_IN_BACKUPS, le=MAX_DAYS)] | None = None


class AgedTable(StrEnum):
    """The tables that retention deletes from."""

    USAGE_EVENTS = "usage_events"
    ANOMALIES = "anomalies"
    USAGE_IMPORTS = "usage_imports"
    SESSIONS = "sessions"
    PASSWORD_RESETS = "password_resets"  # noqa: S105 -- the name of a table
    INVITATIONS = "invitations"


def limit_of(policy: RetentionPolicy, target: AgedTable) -> timedelta:
    """How long rows of a target are kept."""
    match target:
        case AgedTable.USAGE_EVENTS | AgedTable.ANOMALIES:
            return timedelta(days=policy.transactional_days)
        case AgedTable.USAGE_IMPORTS:
            return timedelta(days=policy.files_days)
        case AgedTable.SESSIONS | AgedTable.PASSWORD_RESETS | AgedTable.INVITATIONS:
            return timedelta(days=policy.user_activity_days)


class Mark(msgspec.Struct, frozen=True):
    """What is older than `before` is hidden since `marked_at`, and gone where it was deleted."""

    before: datetime
    marked_at: datetime
    deleted_at: datetime | None = None


class Plan(msgspec.Struct, frozen=True):
    """What a run does with one target: hide from readers, show again, delete for good."""

    hide_before: datetime | None
    show_again: tuple[datetime, ...]
    delete_before: datetime | None


def horizon_of(policy: RetentionPolicy, target: AgedTable, now: datetime, time_zone: str) -> datetime:
    """The first instant of the oldest local day that is kept as a whole."""
    return day_start(local_day(now - limit_of(policy, target), time_zone), time_zone)


def plan(
    policy: RetentionPolicy,
    target: AgedTable,
    marks: Sequence[Mark],
    *,
    now: datetime,
    time_zone: str,
    is_held: bool,
) -> Plan:
    """What is to be done with a target by now.

    A mark that a longer policy has overtaken is withdrawn, and its rows are shown again. Under a legal hold
    nothing is deleted for good.
    """
    horizon = horizon_of(policy, target, now, time_zone)
    standing = [mark for mark in marks if mark.before <= horizon or mark.deleted_at is not None]
    withdrawn = tuple(mark.before for mark in marks if mark not in standing)
    hidden = max((mark.before for mark in standing), default=None)
    grace = timedelta(days=policy.grace_days)
    due = [
        mark.before
        for mark in standing
        if mark.before <= horizon and mark.deleted_at is None and mark.marked_at + grace <= now
    ]
    return Plan(
        hide_before=horizon if hidden is None or hidden < horizon else None,
        show_again=withdrawn,
        delete_before=None if is_held else max(due, default=None),
    )


def audit_details_before(policy: RetentionPolicy, *, now: datetime, is_held: bool) -> datetime | None:
    """Before which audit entries lose details and addresses for good, after limit and grace; None: never."""
    return _after_grace(policy, policy.audit_details_days, now=now, is_held=is_held)


def deactivated_before(policy: RetentionPolicy, *, now: datetime, is_held: bool) -> datetime | None:
    """Since before when an account is deactivated that is erased, after limit and grace; None: never."""
    return _after_grace(policy, policy.deactivated_people_days, now=now, is_held=is_held)


def _after_grace(
    policy: RetentionPolicy, limit_days: int | None, *, now: datetime, is_held: bool
) -> datetime | None:
    if limit_days is None or is_held:
        return None
    return now - timedelta(days=limit_days + policy.grace_days)


def require_after(horizon: datetime | None, instants: Iterable[datetime]) -> None:
    """Refuse usage from before the horizon, whose keys may be forgotten: raises BeforeHorizon."""
    if horizon is not None and min(instants) < horizon:
        raise BeforeHorizon(horizon=horizon.isoformat())
