"""`eu-platform operator`: accounts of the platform itself."""

import secrets
import sys
from pathlib import Path
from uuid import uuid4

import click

from core.audit import AuditEntry
from core.errors import PlatformError
from core.identity import Account, normalised_email
from core.permission import Role
from core.registration import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from shell import accounts
from shell.audit import append_platform_entry
from shell.commands.connect import AT_THE_MACHINE, Connected, command, connected, data_option
from shell.passwords import Passwords
from shell.session import platform_session


class EmailTaken(PlatformError):
    """There is an account with this e-mail address already."""


class PasswordRefused(PlatformError):
    """A password has {least} to {most} characters."""

    fields = ("least", "most")


@click.group()
def operator() -> None:
    """Accounts of the platform itself."""


@operator.command("create")
@click.option("--email", required=True, help="What the operator logs in with; the tenant is 'platform'.")
@click.option("--name", "full_name", default="Operator", show_default=True)
@click.option("--role", type=click.Choice(["OPERATOR", "AUDITOR"]), default="OPERATOR", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
@command
async def create_account(
    email: str, full_name: str, role: str, password_stdin: bool, data: Path | None
) -> None:
    """Create an account; without --password-stdin, a password is made and shown once."""
    given = sys.stdin.readline().rstrip("\n") if password_stdin else None
    password = given if given is not None else secrets.token_urlsafe(18)
    async with connected(data) as platform:
        await create_operator(platform, email=email, full_name=full_name, role=Role(role), password=password)
    click.echo(f"Created {role} {normalised_email(email)}. Log in with tenant 'platform'.")
    if given is None:
        click.echo(f"Password: {password}")


async def create_operator(
    platform: Connected, *, email: str, full_name: str, role: Role, password: str
) -> None:
    """Add an account of the platform; raises EmailTaken, PasswordRefused, PasswordTooCommon."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise PasswordRefused(least=MIN_PASSWORD_LENGTH, most=MAX_PASSWORD_LENGTH)
    account = Account(uuid4(), normalised_email(email), full_name, role)
    passwords = Passwords(platform.settings)
    try:
        hashed = await passwords.hash_new(password, about=(account.email, full_name))
    finally:
        passwords.close()
    async with platform_session(platform.pool) as session:
        if not await accounts.insert(session, account, hashed):
            raise EmailTaken
        entry = AuditEntry(
            "operator.created", f"operator:{account.id}", AT_THE_MACHINE, details={"role": role}
        )
        await append_platform_entry(session, entry)
