"""The worker process: runs jobs until it is told to stop, then gives its leases back."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress

import psutil
import structlog
import uvloop

from core.errors import SettingInvalid
from core.job import JobKind
from jobs.broker import worker_broker
from jobs.context import WorkerContext
from jobs.listening import AT_ONCE, END_SECONDS, listening
from jobs.sequencing import keep_sequencing
from jobs.sweep import sweep_jobs
from shell import jobs as table
from shell.announce import announce, announcer
from shell.audit_key import audit_signer
from shell.database import UNAVAILABLE, open_pool
from shell.logs import configure_logs
from shell.measures import JOB_SECONDS
from shell.metrics_server import measure_process, metrics_served
from shell.session import platform_session
from shell.settings import Secret, Settings, load_settings
from shell.tracing import tracing_of

log = structlog.get_logger()


async def work(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT."""
    redis_url = required("PLATFORM_REDIS_URL", settings.redis_url)
    signer = audit_signer(settings)
    tracing = tracing_of(settings, "worker")
    name = f"{socket.gethostname()}:{os.getpid()}"
    pool = await open_pool(
        required("PLATFORM_DATABASE_URL", settings.database_url).value,
        size=settings.pool_size,
        name="platform worker",
        statement_timeout_seconds=settings.job_statement_timeout_seconds,
        tracing=tracing,
    )
    owner_pool = await open_pool(
        required("PLATFORM_OWNER_DATABASE_URL", settings.owner_database_url).value,
        size=AT_ONCE + 1,  # jobs, and the sequencer
        name="platform worker (owner)",
        statement_timeout_seconds=settings.job_statement_timeout_seconds,
        tracing=tracing,
    )
    context = WorkerContext(settings, pool, owner_pool, announcer(redis_url), name, tracing)
    sequencing = asyncio.create_task(keep_sequencing(context, signer))
    measure_process("worker")
    for kind in JobKind:  # from the first scrape on: the first failure must be an increase
        JOB_SECONDS.labels(kind, "failed")
    log.info("worker.ready", worker=name)
    with metrics_served(settings.host, settings.worker_metrics_port, pool):
        await _listen(context, redis_url)
    sequencing.cancel()
    await asyncio.wait({sequencing}, timeout=END_SECONDS)
    await _give_back(context)
    log.info("worker.stopped", worker=name)
    pool.terminate()
    owner_pool.terminate()
    if tracing is not None:
        tracing.close()


async def _listen(context: WorkerContext, redis_url: Secret) -> None:
    # Before any job is taken here: the name may be that of a dead worker, whose leases end.
    with suppress(*UNAVAILABLE):  # the scheduler asks for the next sweep
        await _end_leases_of_the_dead(context)
        await sweep_jobs(context)
    async with listening(worker_broker(redis_url, context)) as receiver:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, receiver.cancel)
        await asyncio.wait({receiver})


async def _end_leases_of_the_dead(context: WorkerContext) -> None:
    """Take over at once from workers of this machine that were killed, rather than wait for their leases."""
    async with platform_session(context.pool) as session:
        holders = await table.lease_holders(session)
        dead = [holder for holder in holders if _is_dead_here(holder, context.worker)]
        await table.end_leases(session, dead)


def _is_dead_here(holder: str, worker: str) -> bool:
    """Whether a holder ran on this machine and runs no more; one of our own name came before us."""
    host, _, process = holder.rpartition(":")
    here = host == worker.rpartition(":")[0]
    return here and (holder == worker or not psutil.pid_exists(int(process)))


async def _give_back(context: WorkerContext) -> None:
    """Return the leases, and tell other workers; where the database is away, the leases run out instead."""
    try:
        async with platform_session(context.pool) as session:
            given_back = await table.give_back(session, worker=context.worker)
    except UNAVAILABLE as error:
        log.warning("worker.leases_not_given_back", error=type(error).__name__)
    else:
        await announce(context.announcer, given_back)


def required(name: str, secret: Secret | None) -> Secret:
    """A setting that this process cannot do without; raises SettingInvalid."""
    if secret is None:
        raise SettingInvalid(name=name, reason="is not set")
    return secret


def main() -> None:
    """Entry point of `python -m jobs.worker`."""
    settings = load_settings(os.environ)
    configure_logs(service="worker", level=settings.log_level)
    try:
        uvloop.run(work(settings))
    except Exception:
        log.exception("worker.failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
