"""Cases of the registers: breaches with 72 hours to report them, requests with a month to answer them."""

import calendar
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from core.errors import CaseStepRefused

TO_REPORT = timedelta(hours=72)
"""From becoming aware of a breach (Art. 33(1) GDPR); hours run on through nights and weekends."""

MONTHS_TO_ANSWER = 1
MONTHS_EXTENDED = 3
"""One month, which can be extended by two (Art. 12(3) GDPR); both are counted from the receipt."""

SATURDAY = 5

REMIND_BEFORE_BREACH = timedelta(hours=24)
REMIND_BEFORE_REQUEST = timedelta(days=7)


class CaseKind(StrEnum):
    """Which register a case belongs to."""

    BREACH = "BREACH"
    REQUEST = "REQUEST"


class CaseState(StrEnum):
    """How far a case is; the clock runs in the first two."""

    OPEN = "OPEN"
    EXTENDED = "EXTENDED"
    REPORTED = "REPORTED"
    NOT_REPORTABLE = "NOT_REPORTABLE"
    ANSWERED = "ANSWERED"
    REFUSED = "REFUSED"
    CLOSED = "CLOSED"


class CaseStep(StrEnum):
    """What is done about a case, each with a reason."""

    REPORT = "report"
    DISMISS = "dismiss"
    CLOSE = "close"
    EXTEND = "extend"
    ANSWER = "answer"
    REFUSE = "refuse"


RUNNING = (CaseState.OPEN, CaseState.EXTENDED)

STEPS: dict[tuple[CaseKind, CaseState, CaseStep], CaseState] = {
    (CaseKind.BREACH, CaseState.OPEN, CaseStep.REPORT): CaseState.REPORTED,
    (CaseKind.BREACH, CaseState.OPEN, CaseStep.DISMISS): CaseState.NOT_REPORTABLE,
    (CaseKind.BREACH, CaseState.NOT_REPORTABLE, CaseStep.REPORT): CaseState.REPORTED,
    (CaseKind.BREACH, CaseState.NOT_REPORTABLE, CaseStep.CLOSE): CaseState.CLOSED,
    (CaseKind.BREACH, CaseState.REPORTED, CaseStep.CLOSE): CaseState.CLOSED,
    (CaseKind.REQUEST, CaseState.OPEN, CaseStep.EXTEND): CaseState.EXTENDED,
    (CaseKind.REQUEST, CaseState.OPEN, CaseStep.ANSWER): CaseState.ANSWERED,
    (CaseKind.REQUEST, CaseState.OPEN, CaseStep.REFUSE): CaseState.REFUSED,
    (CaseKind.REQUEST, CaseState.EXTENDED, CaseStep.ANSWER): CaseState.ANSWERED,
    (CaseKind.REQUEST, CaseState.EXTENDED, CaseStep.REFUSE): CaseState.REFUSED,
}


class RegisterCase(msgspec.Struct, frozen=True):
    """A breach that became known, or a request that was received, at `began_at`."""

    id: UUID
    kind: CaseKind
    tenant_id: UUID | None
    summary: str
    began_at: datetime
    due_at: datetime
    state: CaseState
    reason: str | None
    created_at: datetime
    changed_at: datetime


def next_case_state(kind: CaseKind, state: CaseState, step: CaseStep) -> CaseState:
    """What follows a step; raises CaseStepRefused for one that the table does not have."""
    following = STEPS.get((kind, state, step))
    if following is None:
        raise CaseStepRefused(state=state, step=step)
    return following


def due_of(kind: CaseKind, began_at: datetime, state: CaseState) -> datetime:
    """When the clock of a case runs out."""
    if kind is CaseKind.BREACH:
        return began_at + TO_REPORT
    months = MONTHS_EXTENDED if state is CaseState.EXTENDED else MONTHS_TO_ANSWER
    last = month_later(began_at.astimezone(UTC).date(), months)
    return datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)


def month_later(day: date, months: int) -> date:
    """The last day of a period of months that a day begins (Regulation 1182/71, Art. 3(2)(c) and (4)).

    The day of the same number, or the month's last where there is none; after a weekend the Monday. Public
    holidays, which differ by country, are not known here: without them the period ends no later than by law.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    last = day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))
    return last + timedelta(days=7 - last.weekday()) if last.weekday() >= SATURDAY else last
