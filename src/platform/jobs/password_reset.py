"""Resetting a password: the token is made and mailed here, where nobody can measure whether there is one."""

from datetime import UTC, datetime

import msgspec

from core.audit import Actor, ActorKind, AuditEntry
from core.errors import NotFound, TenantGone, TenantNotReady
from core.job import Job
from core.password_reset import ResetRequest, reset_mail
from jobs.context import WorkerContext
from jobs.progress import Progress
from shell import accounts, password_reset
from shell.account_session import account_session, append_account_entry
from shell.mail import Mail, send
from shell.session import Session

SUBJECT = "Reset your password"


async def send_reset_mail(context: WorkerContext, job: Job, _: Progress) -> None:
    """Mail a token to the account's owner; where there is no such account, nothing happens."""
    asked = msgspec.convert(job.args, ResetRequest)
    try:
        async with account_session(context.pool, asked.tenant) as session:
            token = await _begun(session, asked, job.request_id)
    except (NotFound, TenantGone, TenantNotReady):
        return
    if token is not None:
        text = reset_mail(token=token, public_url=context.settings.public_url)
        await send(context.settings, Mail(asked.email, SUBJECT, text))


async def _begun(session: Session, asked: ResetRequest, request_id: str | None) -> str | None:
    found = await accounts.credentials_of(session, asked.email)
    if found is None:
        return None
    actor = Actor(ActorKind.ANONYMOUS, request_id=request_id, address=asked.asked_from)
    entry = AuditEntry("auth.password_reset_asked", f"user:{found.account.id}", actor)
    await append_account_entry(session, entry)
    return await password_reset.begin(session, found.account, slug=asked.tenant, now=datetime.now(UTC))
