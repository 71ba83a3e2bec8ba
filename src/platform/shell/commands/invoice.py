"""`eu-platform invoice`: queue a month's invoices and wait for them."""

import asyncio
from pathlib import Path
from uuid import UUID

import click
from rich.progress import Progress

from core.errors import InvalidInput
from core.job import Job, JobKind, JobState
from core.period import Month, parse_month
from shell import jobs
from shell.announce import announce, announcer
from shell.commands.connect import Connected, command, connected, data_option
from shell.queries import SQL
from shell.session import platform_session

LOOK_AGAIN_SECONDS = 0.1


@click.command()
@click.option("--month", required=True, help="The month to invoice, as YYYY-MM; it must be over.")
@click.option("--tenant", "slug", help="Only this tenant; all by default.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until a worker has made them.")
@data_option
@command
async def invoice(month: str, slug: str | None, wait: bool, data: Path | None) -> None:
    """Invoice a month, of one tenant or of all; each month is invoiced once, however often this runs."""
    wanted = _month(month)
    async with connected(data, with_worker=wait) as platform:
        queued = await queue_invoices(platform, wanted, slug)
        done = await waited_for(platform, queued) if wait else []
    failed = [job for job in done if job.state is JobState.FAILED or job.error]
    for job in failed:
        click.echo(f"tenant {job.tenant_id}: {job.error}", err=True)
    click.echo(f"{len(queued)} queued, {len(done) - len(failed)} done, {len(failed)} failed.")
    if failed:
        raise SystemExit(1)


async def queue_invoices(platform: Connected, month: Month, slug: str | None) -> list[UUID]:
    """Queue the invoice of a month for one tenant or for all; gives the jobs."""
    async with platform_session(platform.pool) as session:
        rows = await session.connection.fetch(SQL["tenants_to_invoice"], slug)
        if slug is not None and not rows:
            raise InvalidInput(errors=[{"field": "--tenant", "detail": "there is no such tenant"}])
        queued = [
            await jobs.enqueue(
                session,
                JobKind.INVOICE_MONTH,
                dedupe_key=f"{row['id']}:{month}",
                tenant_id=row["id"],
                args={"month": str(month)},
            )
            for row in rows
        ]
    if platform.settings.redis_url is not None:
        broker = announcer(platform.settings.redis_url)
        await announce(broker, [job.id for job in queued])
        await broker.shutdown()
    return [job.id for job in queued]


async def waited_for(platform: Connected, queued: list[UUID]) -> list[Job]:
    """The jobs once each has been done, given up, or has failed for the first time."""
    found: list[Job] = []
    with Progress(transient=True) as bar:
        task = bar.add_task("invoices", total=len(queued))
        for job_id in queued:
            found.append(await _ended(platform, job_id))
            bar.advance(task)
    return found


async def _ended(platform: Connected, job_id: UUID) -> Job:
    while True:
        async with platform_session(platform.pool, readonly=True) as session:
            job = await jobs.get(session, job_id)
        if job.finished_at is not None or job.error is not None:
            return job
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _month(text: str) -> Month:
    try:
        return parse_month(text)
    except ValueError as error:
        raise InvalidInput(errors=[{"field": "--month", "detail": str(error)}]) from error
