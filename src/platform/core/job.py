"""Jobs: their states, and what follows a failure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from core.errors import ErasureCancelled, NotFound, PeriodNotOver, PlatformError, TenantGone, UnderLegalHold

FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=10)
MAX_ATTEMPTS = 8


class JobState(StrEnum):
    """Where a job is: a RUNNING one whose lease has run out is taken up again by the next worker."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class JobKind(StrEnum):
    """What a job does."""

    PROVISION_TENANT = "provision_tenant"
    CLOSE_DAYS = "close_days"
    INVOICE_MONTH = "invoice_month"
    ERASE_TENANT = "erase_tenant"
    DESTROY_ARCHIVE = "destroy_archive"
    EXPORT_TENANT = "export_tenant"
    RETAIN = "retain"
    ERASE_PERSON = "erase_person"
    RESET_PASSWORD = "reset_password"  # noqa: S105 -- the name of a kind


FORGETFUL: tuple[JobKind, ...] = (JobKind.RESET_PASSWORD,)
"""Kinds whose arguments are personal, and are forgotten when the job has ended."""


class Job(msgspec.Struct, frozen=True):
    """A piece of work that survives crashes: a row of `public.jobs`."""

    id: UUID
    kind: JobKind
    tenant_id: UUID | None
    args: dict[str, Any]
    state: JobState
    step: str | None
    progress: float
    attempts: int
    error: str | None
    request_id: str | None
    created_at: datetime
    finished_at: datetime | None


class LeasedJob(Job, frozen=True):
    """A job in a worker's hands, which knows where in which trace it was caused; nobody else is told."""

    traceparent: str | None


class Retry(msgspec.Struct, frozen=True):
    """Try again, not before this instant."""

    not_before: datetime


class GiveUp(msgspec.Struct, frozen=True):
    """Every attempt has failed."""


FINAL: tuple[type[PlatformError], ...] = (
    ErasureCancelled,
    NotFound,
    PeriodNotOver,
    TenantGone,
    UnderLegalHold,
)
"""Errors that no further attempt could mend."""


def after_failure(attempts: int, now: datetime, error: Exception | None = None) -> Retry | GiveUp:
    """What follows the n-th failed attempt: a retry after twice the last delay, up to eight attempts."""
    if attempts >= MAX_ATTEMPTS or isinstance(error, FINAL):
        return GiveUp()
    delay = min(FIRST_RETRY * 2 ** (attempts - 1), LONGEST_RETRY)
    return Retry(now + delay)
