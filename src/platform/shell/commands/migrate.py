"""`eu-platform migrate`: roles, the shared schema, and every tenant's."""

from pathlib import Path

import click
from rich.progress import Progress

from shell.commands.connect import command, connected, data_option
from shell.migrations import migrate_tenants


@click.command()
@data_option
@command
async def migrate(data: Path | None) -> None:
    """Bring the database up to date: roles, the shared schema, every tenant's schema. May be interrupted."""
    async with connected(data) as platform:
        with Progress(transient=True) as bar:
            task = bar.add_task("tenants", total=None)
            ran = await migrate_tenants(
                platform.owner_pool,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    click.echo(f"The database is up to date ({ran} tenant migrations ran).")
