"""The schedule: what is looked for, and how often; each finder queues jobs that exist at most once."""

from enum import StrEnum

import msgspec

from shell.settings import Settings

FORGET_SECONDS = 3_600
MISSED_SECONDS = 900
"""Visiting every tenant takes a transaction each, so it is not done for every batch of usage."""
ERASURE_SECONDS = 60
ARCHIVE_SECONDS = 3_600
EXPIRE_SECONDS = 600
RETENTION_SECONDS = 3_600
REMIND_SECONDS = 900


class Finder(StrEnum):
    """The names of the tasks that look for work."""

    SWEEP_JOBS = "sweep_jobs"
    FIND_OPEN_DAYS = "find_open_days"
    FIND_MISSED_DAYS = "find_missed_days"
    FIND_UNBILLED_MONTHS = "find_unbilled_months"
    FORGET_FINISHED = "forget_finished"
    FIND_DUE_ERASURES = "find_due_erasures"
    MIRROR_LEDGER = "mirror_ledger"
    FIND_EXPIRED_ARCHIVES = "find_expired_archives"
    REMOVE_EXPIRED_EXPORTS = "remove_expired_exports"
    FIND_RETENTION = "find_retention"
    REMIND_OF_CASES = "remind_of_cases"


class Schedule(msgspec.Struct, frozen=True):
    """A finder, and the seconds between two of its runs."""

    finder: Finder
    seconds: int


def schedules(settings: Settings) -> tuple[Schedule, ...]:
    """The scheduler's table."""
    return (
        Schedule(Finder.SWEEP_JOBS, settings.job_sweep_seconds),
        Schedule(Finder.FIND_OPEN_DAYS, settings.close_days_seconds),
        Schedule(Finder.FIND_MISSED_DAYS, MISSED_SECONDS),
        Schedule(Finder.FIND_UNBILLED_MONTHS, settings.invoice_scan_seconds),
        Schedule(Finder.FORGET_FINISHED, FORGET_SECONDS),
        Schedule(Finder.FIND_DUE_ERASURES, ERASURE_SECONDS),
        Schedule(Finder.MIRROR_LEDGER, ERASURE_SECONDS),
        Schedule(Finder.FIND_EXPIRED_ARCHIVES, ARCHIVE_SECONDS),
        Schedule(Finder.REMOVE_EXPIRED_EXPORTS, EXPIRE_SECONDS),
        Schedule(Finder.FIND_RETENTION, RETENTION_SECONDS),
        Schedule(Finder.REMIND_OF_CASES, REMIND_SECONDS),
    )
