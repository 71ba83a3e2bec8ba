"""Reminders of cases whose clocks have nearly run out."""

from datetime import UTC, datetime
from uuid import UUID

import structlog

from core.register_case import RegisterCase
from jobs.context import WorkerContext
from shell import registers
from shell.mail import Mail, MailNotSent, send
from shell.session import platform_session

log = structlog.get_logger()


async def remind_of_cases(context: WorkerContext) -> None:
    """Log each case that is nearly due, once, and mail it to whom the settings name.

    Each case has a transaction of its own, which does nothing after the mail but end: what cannot be mailed
    is tried again at the next look, and does not make others be mailed twice.
    """
    now, tried = datetime.now(UTC), list[UUID]()
    while (case := await _remind_of_next(context, now, tried)) is not None:
        tried.append(case.id)


async def _remind_of_next(context: WorkerContext, now: datetime, tried: list[UUID]) -> RegisterCase | None:
    """Remind of one case that was not tried yet, and give it; None where there is none."""
    async with platform_session(context.pool) as session:
        case = await registers.next_to_remind(session, now, tried)
        if case is None:
            return None
        log.warning("register.due", case=str(case.id), kind=case.kind, due_at=case.due_at.isoformat())
        address = context.settings.data_protection_email
        try:
            if address is not None:
                await send(context.settings, _mail(case, address))
        except MailNotSent as error:
            log.warning("register.reminder_not_sent", case=str(case.id), error=str(error))
        else:
            await registers.note_reminder(session, case.id, now)
        return case


def _mail(case: RegisterCase, address: str) -> Mail:
    text = f"The {case.kind.lower()} {case.id} is due at {case.due_at.isoformat()} and is {case.state}.\n"
    return Mail(address, f"A {case.kind.lower()} is nearly due", text)
