"""`eu-platform keys`: the keys that sign access tokens, and the secret key."""

from datetime import UTC, datetime
from pathlib import Path

import click

from core.audit import AuditEntry
from core.errors import TenantGone
from shell import second_factor
from shell.audit import append_platform_entry
from shell.commands.connect import AT_THE_MACHINE, Connected, command, connected, data_option
from shell.keys import forget_previous_secret_key, load_keys, rotate_key, rotate_secret_key, secret_keys
from shell.queries import SQL
from shell.resealing import SECOND_FACTORS, Resealed, reseal, reseal_shared
from shell.sealing import Seal
from shell.session import owner_session, platform_session, tenant_session


@click.group()
def keys() -> None:
    """The keys that sign access tokens, and the secret key."""


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


@keys.command("rotate-secret")
@data_option
@command
async def rotate_secret(data: Path | None) -> None:
    """Make a new secret key in the data folder; restart all processes, then run `keys reseal`."""
    async with connected(data) as platform, platform_session(platform.pool) as session:
        entry = AuditEntry("secret_key.rotated", "secret_key", AT_THE_MACHINE)
        await append_platform_entry(session, entry)
        rotate_secret_key(platform.settings)  # last, since files cannot be rolled back
    click.echo("Restart all processes, then run `eu-platform keys reseal`.")


@keys.command("reseal")
@click.option(
    "--forget-previous",
    is_flag=True,
    help="Then forget the previous key: API keys that were not used since the rotation end.",
)
@data_option
@command
async def reseal_all(forget_previous: bool, data: Path | None) -> None:
    """Seal and sign anew, under the current secret key, what is sealed and signed for long.

    Exit code 1 where something is under neither the current nor the previous key: it is named, and left as
    it is, and the previous key is not forgotten.
    """
    async with connected(data) as platform:
        resealed = await reseal_audited(platform)
        if forget_previous and not resealed.unopened:
            forget_previous_secret_key(platform.settings)
    click.echo(f"{resealed.number} things are sealed under the current key.")
    for thing in resealed.unopened:
        click.echo(f"Under neither key: {thing}", err=True)
    if resealed.unopened:
        raise SystemExit(1)


async def reseal_audited(platform: Connected) -> Resealed:
    """Reseal every tenant's second factors, a transaction each, and what is shared."""
    keys = secret_keys(platform.settings)
    factors = Seal(keys, second_factor.PURPOSE)
    async with platform_session(platform.pool, readonly=True) as session:
        tenant_ids = [row["id"] for row in await session.connection.fetch(SQL["tenants_with_a_schema"])]
    resealed = Resealed()
    for tenant_id in tenant_ids:
        try:
            async with tenant_session(platform.pool, tenant_id=tenant_id) as tenant_:
                resealed += await reseal(tenant_, factors, second_factor.PURPOSE, **SECOND_FACTORS)
        except TenantGone:  # meanwhile
            continue
    async with owner_session(platform.owner_pool) as session:
        resealed += await reseal(session, factors, second_factor.PURPOSE, **SECOND_FACTORS)
        resealed += await reseal_shared(session, keys)
        details = {"things": resealed.number, "unopened": len(resealed.unopened)}
        await append_platform_entry(
            session, AuditEntry("secret_key.resealed", "secret_key", AT_THE_MACHINE, details=details)
        )
    return resealed
