"""`eu-platform gdpr retention`: what retention would do to each tenant."""

from datetime import UTC, datetime
from pathlib import Path

import click

from core.errors import NotFound
from core.job import JobKind
from shell import jobs, retention
from shell.commands.connect import command, connected, data_option
from shell.queries import SQL
from shell.session import platform_session


@click.command("retention")
@click.option("--tenant", "slug", help="Only this tenant, by its slug.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and queue nothing.")
@data_option
@command
async def retain(slug: str | None, dry_run: bool, data: Path | None) -> None:
    """Hide what is too old, and delete for good what was hidden for the grace period.

    Queues a run for each tenant; the worker does it. The scheduler does the same once a day.
    """
    now = datetime.now(UTC)
    async with connected(data) as platform:
        async with platform_session(platform.pool) as session:
            rows = await session.connection.fetch(SQL["tenants_to_invoice"], slug)
            if slug is not None and not rows:
                raise NotFound(what="open tenant")
            if not dry_run:
                for row in rows:
                    await jobs.enqueue(
                        session, JobKind.RETAIN, dedupe_key=str(row["id"]), tenant_id=row["id"]
                    )
        if not dry_run:
            click.echo(f"{len(rows)} runs queued")
            return
        for row in rows:
            for due in await retention.preview(platform.pool, row["id"], now):
                hidden, deleted = f"{due.hidden_rows:>10,}", f"{due.deleted_rows:>10,}"
                click.echo(f"{row['id']}  {due.target:<16}  hide {hidden}  delete {deleted}")
            erased = await retention.preview_audit_details(platform.pool, row["id"], now)
            click.echo(f"{row['id']}  {'audit_details':<16}  hide {0:>10,}  delete {erased:>10,}")
