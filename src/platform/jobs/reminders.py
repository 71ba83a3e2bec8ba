"""Reminders of cases whose clocks have nearly run out."""

from datetime import UTC, datetime

import structlog

from core.register_case import RegisterCase
from jobs.context import WorkerContext
from shell import registers
from shell.mail import Mail, send
from shell.session import platform_session

log = structlog.get_logger()


async def remind_of_cases(context: WorkerContext) -> None:
    """Log each case that is nearly due, once, and mail it to whom the settings name.

    What cannot be mailed is not noted, and tried again at the next look.
    """
    async with platform_session(context.pool) as session:
        due = await registers.to_remind(session, datetime.now(UTC))
        for case in due:
            log.warning("register.due", case=str(case.id), kind=case.kind, due_at=case.due_at.isoformat())
            if context.settings.data_protection_email is not None:
                await send(context.settings, _mail(case, context.settings.data_protection_email))


def _mail(case: RegisterCase, address: str) -> Mail:
    text = f"The {case.kind.lower()} {case.id} is due at {case.due_at.isoformat()} and is {case.state}.\n"
    return Mail(address, f"A {case.kind.lower()} is nearly due", text)
