"""The job that makes and mails a reset token."""

import email.policy
import re
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from core.identity import Account
from core.membership import UserState
from core.password_reset import ResetRequest
from core.permission import Role
from core.tenant import PLATFORM_SLUG, Tenant, TenantState
from jobs.context import WorkerContext
from jobs.runner import run_job
from shell.password_reset import PasswordResets
from shell.session import platform_session
from shell.settings import Secret
from tests.installation import Installation, account_session, add_account, put_into, register, rows

RESETS = PasswordResets(Secret("a secret key of the tests"))
TOKEN = re.compile(r"epr_[a-z0-9-]+_[\w-]{43}")


def context_of(installation: Installation, data: Path, **settings: object) -> WorkerContext:
    changed = msgspec.structs.replace(installation.settings, data=data, **settings)
    return msgspec.structs.replace(installation.context, settings=changed, worker="tests of resets")


async def run(context: WorkerContext, asked: ResetRequest) -> dict[str, object]:
    """The job's row after it has run."""
    async with platform_session(context.pool) as session:
        job = await RESETS.ask(session, asked, request_id="r-1")
    await run_job(context, job.id)
    async with platform_session(context.pool) as session:
        return dict(
            await session.connection.fetchrow("SELECT * FROM public.jobs WHERE id = $1", job.id) or {}
        )


def mails(data: Path) -> list[EmailMessage]:
    parser = BytesParser(EmailMessage, policy=email.policy.default)
    return [parser.parsebytes(file.read_bytes()) for file in sorted((data / "mail").glob("*.eml"))]


async def kept_tokens(installation: Installation, tenant: Tenant | None, user_id: UUID) -> list[bytes]:
    async with account_session(installation, tenant) as session:
        found = await session.connection.fetch(
            "SELECT token_hash FROM password_resets WHERE user_id = $1", user_id
        )
    return [row["token_hash"] for row in found]


@pytest.mark.parametrize("of_platform", [False, True])
async def test_a_token_is_mailed_to_the_account_and_only_its_hash_is_kept(
    installation: Installation, tenant: Tenant, tmp_path: Path, of_platform: bool
) -> None:
    home, role, slug = (
        (None, Role.OPERATOR, PLATFORM_SLUG) if of_platform else (tenant, Role.MEMBER, tenant.slug)
    )
    account = await add_account(installation, home, role)
    context = context_of(installation, tmp_path, public_url="https://cloud.example")
    job = await run(context, ResetRequest(slug, account.email, "192.0.2.7"))
    assert job["state"] == "DONE"
    (mail,) = mails(tmp_path)
    assert mail["To"] == account.email
    token, again = TOKEN.findall(mail.get_content())
    assert token == again
    assert token.startswith(f"epr_{slug}_")
    (kept,) = await kept_tokens(installation, home, account.id)
    assert kept != token.encode()
    (entry,) = await rows(
        installation, "SELECT * FROM public.audit_log WHERE subject = $1", f"user:{account.id}"
    )
    assert (entry["action"], entry["address"], entry["request_id"]) == (
        "auth.password_reset_asked",
        "192.0.2.7",
        "r-1",
    )


async def test_a_new_token_replaces_the_one_before(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    context = context_of(installation, tmp_path)
    for _ in range(2):
        await run(context, ResetRequest(tenant.slug, account.email))
    assert len(mails(tmp_path)) == 2
    assert len(await kept_tokens(installation, tenant, account.id)) == 1


async def deactivated(installation: Installation, tenant: Tenant) -> Account:
    account = await add_account(installation, tenant, Role.MEMBER)
    async with account_session(installation, tenant) as session:
        await session.connection.execute(
            "UPDATE users SET state = $2 WHERE id = $1", account.id, UserState.DEACTIVATED
        )
    return account


async def test_nothing_is_mailed_where_there_is_no_account_that_could_log_in(
    installation: Installation, tenant: Tenant, other_tenant: Tenant, tmp_path: Path
) -> None:
    account, gone = (
        await add_account(installation, other_tenant, Role.MEMBER),
        await deactivated(installation, tenant),
    )
    pending = await register(installation)
    await put_into(installation, other_tenant, TenantState.DEPROVISIONING)
    context = context_of(installation, tmp_path)
    for slug, address in [
        (tenant.slug, "nobody@example.com"),
        (tenant.slug, account.email),
        (tenant.slug, gone.email),
        (other_tenant.slug, account.email),
        (pending.slug, account.email),
        ("no-such-tenant", account.email),
        (PLATFORM_SLUG, account.email),
    ]:
        job = await run(context, ResetRequest(slug, address))
        assert (job["state"], job["error"]) == ("DONE", None)
    assert mails(tmp_path) == []


async def test_what_remains_of_the_job_tells_no_address(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    job = await run(context_of(installation, tmp_path), ResetRequest(tenant.slug, account.email, "192.0.2.7"))
    assert job["args"] == "{}"
    assert job["tenant_id"] is None
    assert not [value for value in map(str, job.values()) if account.email in value or "192.0.2.7" in value]


async def test_a_mail_that_cannot_be_sent_is_tried_again_and_nobody_is_told_of_it(
    installation: Installation, tenant: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    context = context_of(installation, tmp_path, smtp_url=Secret("smtp://127.0.0.1:1"))
    job = await run(context, ResetRequest(tenant.slug, account.email))
    assert (job["state"], job["error"]) == ("QUEUED", "The mail was not sent: ConnectionRefusedError.")
    logged = capsys.readouterr().out
    assert "job.failed" in logged
    assert account.email not in logged
    assert not TOKEN.search(logged)


async def test_a_job_that_is_given_up_forgets_the_address_too(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    context = context_of(installation, tmp_path, smtp_url=Secret("smtp://127.0.0.1:1"))
    async with platform_session(context.pool) as session:
        job = await RESETS.ask(session, ResetRequest(tenant.slug, account.email), request_id=None)
        await session.connection.execute("UPDATE public.jobs SET attempts = 7 WHERE id = $1", job.id)
    await run_job(context, job.id)
    (row,) = await rows(installation, "SELECT state, args FROM public.jobs WHERE id = $1", job.id)
    assert row == {"state": "FAILED", "args": "{}"}


async def test_the_same_request_waits_once(installation: Installation, tenant: Tenant) -> None:
    async with platform_session(installation.pool) as session:
        asked = [ResetRequest(tenant.slug, f"{name}@example.com") for name in ("ada", "ada", "bob")]
        queued = [await RESETS.ask(session, one, request_id=None) for one in asked]
        await session.connection.execute(
            "DELETE FROM public.jobs WHERE id = ANY($1)", [job.id for job in queued]
        )
    assert queued[0].id == queued[1].id != queued[2].id
