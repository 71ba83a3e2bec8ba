"""`eu-platform backup` and `eu-platform restore`."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from shell.audit_key import ensure_audit_key
from shell.backup import backup_key, open_backup, take_backup
from shell.backup_pruning import Pruned, prune_backups
from shell.commands.connect import command, connected, data_option, pools
from shell.keys import ensure_key
from shell.restoring import restore_all, restore_tenant
from shell.servers import any_servers, prepare_roles
from shell.settings import load_settings

MEBIBYTE = 2**20

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def output_option(*, exists: bool) -> Callable[[Decorated], Decorated]:
    """The option that names where backups are; a folder that does not exist may be a mistake."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(exists=exists, file_okay=False, path_type=Path),
        default=Path("backups"),
        show_default=True,
        help="Folder in which each backup has a folder of its own.",
    )


@click.command()
@output_option(exists=False)
@click.option("--tenant", help="Only this tenant (its slug); everything by default.")
@data_option
@command
async def backup(output: Path, tenant: str | None, data: Path | None) -> None:
    """Back up the database as it is now, sealed under PLATFORM_BACKUP_KEY.

    Keys, Redis and the object store are not in it. Older backups in the same folder lose tenants that were
    erased, or that they hold for longer than their retention policies say.
    """
    async with connected(data) as platform:
        made = await take_backup(platform, output, slug=tenant)
        pruned = await prune_backups(platform, output, datetime.now(UTC))
    size = sum(file.size for file in made.manifest.files) / MEBIBYTE
    click.echo(f"{made.folder}: {len(made.manifest.tenants)} tenants, {size:.1f} MiB")
    _tell(pruned)


@click.command("prune-backups")
@output_option(exists=True)
@click.option("--dry-run", is_flag=True, help="Show what would be taken out, and take nothing.")
@data_option
@command
async def prune(output: Path, dry_run: bool, data: Path | None) -> None:
    """Take tenants out of backups that may hold them no more: the erased, and whose policy says so.

    `eu-platform backup` does the same to older backups in its folder.
    """
    async with connected(data) as platform:
        pruned = await prune_backups(platform, output, datetime.now(UTC), dry_run=dry_run)
    _tell(pruned)
    click.echo(f"{len(pruned.prunings)} backups {'would be' if dry_run else 'were'} pruned")


def _tell(pruned: Pruned) -> None:
    for folder in pruned.unopened:
        click.echo(f"{folder.name}: not pruned, as PLATFORM_BACKUP_KEY does not open it", err=True)
    for each in pruned.prunings:
        names = ", ".join(tenant.slug for tenant in each.tenants)
        click.echo(f"{each.backup.manifest.id}: without {names}" + " (removed)" * each.is_whole)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tenant", help="Only this tenant (its slug), beside living others.")
@click.option("--with-people", is_flag=True, help="Put the tenant's people back, too, as they were then.")
@click.option("--without-pruned", is_flag=True, help="Give up tenants that the backup holds no more.")
@click.option("--check", is_flag=True, help="Only check that the backup is whole and unchanged.")
@data_option
@command
async def restore(
    folder: Path,
    tenant: str | None,
    *,
    with_people: bool,
    without_pruned: bool,
    check: bool,
    data: Path | None,
) -> None:
    """Restore a backup: one tenant beside living others, or everything into an empty database."""
    settings = load_settings(os.environ, data=data)
    opened = await asyncio.to_thread(open_backup, folder, backup_key(settings))
    taken = f"{opened.manifest.id} of {opened.manifest.taken_at:%Y-%m-%d %H:%M} UTC"
    if check:
        click.echo(f"{taken} is whole: {len(opened.manifest.tenants)} tenants.")
    elif tenant is not None:
        async with connected(data) as platform:
            have_stayed = await restore_tenant(platform, opened, tenant, with_people=with_people)
        people = "Its people are who they are now." if have_stayed else "Its people log in again."
        click.echo(f"{tenant} is what it was in {taken}. {people}")
    else:
        with any_servers(settings) as located:
            prepared = await prepare_roles(located.settings)
            ensure_key(prepared)
            ensure_audit_key(prepared)
            async with pools(prepared) as platform:
                number = await restore_all(platform, opened, without_pruned=without_pruned)
        click.echo(f"Restored {taken}: {number} tenants.")
