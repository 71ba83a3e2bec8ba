"""`eu-platform gdpr retention`: what retention would do to each tenant."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from core.errors import NotFound
from core.job import JobKind
from shell import jobs, retention
from shell.commands.connect import command, connected, data_option
from shell.database import Pool
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
            for what, hidden, deleted in await _previewed(platform.pool, row["id"], now):
                click.echo(f"{row['id']}  {what:<18}  hide {hidden:>10,}  delete {deleted:>10,}")


async def _previewed(pool: Pool, tenant_id: UUID, now: datetime) -> list[tuple[str, int, int]]:
    """What a run would do to each target: how many rows it would hide, and delete for good."""
    due = await retention.preview(pool, tenant_id, now)
    return [
        *((each.target.value, each.hidden_rows, each.deleted_rows) for each in due),
        ("audit_details", 0, await retention.preview_audit_details(pool, tenant_id, now)),
        ("deactivated_people", 0, await retention.preview_deactivated_people(pool, tenant_id, now)),
    ]
