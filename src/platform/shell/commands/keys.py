"""`eu-platform keys`: the keys that sign access tokens."""

from datetime import UTC, datetime
from pathlib import Path

import click

from core.audit import AuditEntry
from shell.audit import append_platform_entry
from shell.commands.connect import AT_THE_MACHINE, Connected, command, connected, data_option
from shell.keys import load_keys, rotate_key
from shell.session import platform_session


@click.group()
def keys() -> None:
    """The keys that sign access tokens."""


@keys.command()
@click.option(
    "--revoke-old", is_flag=True, help="Refuse tokens of the old keys from now on: everybody logs in again."
)
@data_option
@command
async def rotate(revoke_old: bool, data: Path | None) -> None:
    """Sign with a new key from now on; running API processes take it up within seconds."""
    async with connected(data) as platform:
        kid = await rotate_audited(platform, keep_old=not revoke_old)
        verifying = len(load_keys(platform.settings, datetime.now(UTC)).kids)
    click.echo(f"Signing with {kid}; {verifying} keys verify.")


async def rotate_audited(platform: Connected, *, keep_old: bool) -> str:
    """Rotate the signing key, and tell the platform's audit log; gives the new key's name."""
    async with platform_session(platform.pool) as session:  # first, since files cannot be rolled back
        kid = rotate_key(platform.settings, datetime.now(UTC), keep_old=keep_old)
        details = {"old_keys": "verify until their tokens end" if keep_old else "revoked"}
        entry = AuditEntry("signing_key.rotated", f"signing_key:{kid}", AT_THE_MACHINE, details=details)
        await append_platform_entry(session, entry)
    return kid
