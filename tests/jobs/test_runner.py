"""Running jobs: once, by one worker, again after a failure, and never after the end."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from core.errors import TenantGone
from core.job import MAX_ATTEMPTS, Job, JobKind, JobState
from core.tenant import Tenant
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.runner import HANDLERS, run_job
from shell import jobs as table
from shell.session import platform_session
from tests.installation import Installation, administrator, job_of, queued, rows
from tests.waiting import until

Body = Callable[[WorkerContext, Job, Progress], Awaitable[None]]

KIND = JobKind.CLOSE_DAYS


@pytest.fixture
def given_body(monkeypatch: pytest.MonkeyPatch) -> Callable[[Body], None]:
    """Makes a function of the test the body of jobs of one kind."""
    return lambda body: monkeypatch.setitem(HANDLERS, KIND, body)


async def leased_to(installation: Installation, job: Job) -> object:
    (row,) = await rows(installation, "SELECT leased_to FROM jobs WHERE id = $1", job.id)
    return row["leased_to"]


async def test_a_job_is_run_and_done(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job = await queued(installation, KIND, tenant, colour="blue")
    seen: list[Job] = []

    async def body(_: WorkerContext, job: Job, progress: Progress) -> None:
        await progress("half", 0.5)
        seen.append(await job_of(installation, job.id))

    given_body(body)
    await run_job(context, job.id)
    (running,) = seen
    assert (running.state, running.step, running.progress) == (JobState.RUNNING, "half", 0.5)
    assert (running.args, running.attempts) == ({"colour": "blue"}, 1)
    done = await job_of(installation, job.id)
    assert (done.state, done.progress, done.error) == (JobState.DONE, 1.0, None)


async def test_a_job_that_is_delivered_many_times_at_once_runs_once(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job, runs = await queued(installation, KIND, tenant), 0

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.02)

    given_body(body)
    workers = [msgspec.structs.replace(context, worker=f"w{number}") for number in range(10)]
    await asyncio.gather(*(run_job(worker, job.id) for worker in workers))
    await run_job(context, job.id)
    assert runs == 1
    assert (await job_of(installation, job.id)).attempts == 1


async def test_a_job_that_does_not_exist_any_more_is_no_error(context: WorkerContext) -> None:
    await run_job(context, uuid4())


async def test_a_job_that_fails_says_so_and_waits_for_its_next_attempt(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job, runs = await queued(installation, KIND, tenant), 0

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        nonlocal runs
        runs += 1
        raise ConnectionResetError

    given_body(body)
    with capture_logs() as logs:
        await run_job(context, job.id)
    await run_job(context, job.id)  # not before its time
    failed = await job_of(installation, job.id)
    assert (failed.state, failed.error, failed.attempts, runs) == (
        JobState.QUEUED,
        "ConnectionResetError",
        1,
        1,
    )
    assert [(entry["event"], entry["attempt"]) for entry in logs] == [("job.failed", 1)]


async def test_a_failed_job_succeeds_at_last(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job = await queued(installation, KIND, tenant)

    async def body(_: WorkerContext, job: Job, ___: Progress) -> None:
        if job.attempts < 3:
            raise ConnectionResetError

    given_body(body)
    for _ in range(3):
        await run_job(context, job.id)
        async with administrator(installation.admin_url) as admin:
            await admin.execute("UPDATE jobs SET not_before = now() - interval '1 s' WHERE id = $1", job.id)
    done = await job_of(installation, job.id)
    assert (done.state, done.attempts, done.error) == (JobState.DONE, 3, None)


async def test_a_job_whose_tenant_is_gone_is_given_up_at_once(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job = await queued(installation, KIND, tenant)

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        raise TenantGone

    given_body(body)
    await run_job(context, job.id)
    failed = await job_of(installation, job.id)
    assert (failed.state, failed.error) == (JobState.FAILED, str(TenantGone()))


async def test_a_job_that_takes_its_worker_with_it_is_given_up_after_eight_attempts(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job, runs = await queued(installation, KIND, tenant), 0

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        nonlocal runs
        runs += 1

    given_body(body)
    for _ in range(MAX_ATTEMPTS):  # taken, and never heard of again
        async with platform_session(installation.pool) as session:
            assert await table.take(session, job.id, worker="dead", lease=timedelta(seconds=-1))
    await run_job(context, job.id)
    failed = await job_of(installation, job.id)
    assert (failed.state, runs) == (JobState.FAILED, 0)
    assert failed.error == "The worker was lost in each of 8 attempts."


async def test_a_long_job_keeps_its_lease(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    brief = msgspec.structs.replace(
        context, settings=msgspec.structs.replace(context.settings, job_lease_seconds=1)
    )
    job = await queued(installation, KIND, tenant)

    async def body(_: WorkerContext, job: Job, ___: Progress) -> None:
        first = await leased_to(installation, job)

        async def is_renewed() -> bool:
            return await leased_to(installation, job) != first

        await until(is_renewed)

    given_body(body)
    await run_job(brief, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE


async def test_a_worker_that_lost_its_lease_does_not_end_the_job_of_another(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job = await queued(installation, KIND, tenant)

    async def body(_: WorkerContext, job: Job, ___: Progress) -> None:
        async with administrator(installation.admin_url) as admin:
            await admin.execute("UPDATE jobs SET leased_by = 'another' WHERE id = $1", job.id)

    given_body(body)
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.RUNNING


async def test_a_job_that_is_cut_off_is_given_back_and_run_again(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job, inside = await queued(installation, KIND, tenant), asyncio.Event()

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        if not inside.is_set():
            inside.set()
            await asyncio.Event().wait()

    given_body(body)
    running = asyncio.create_task(run_job(context, job.id))
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await job_of(installation, job.id)).state is JobState.RUNNING
    async with platform_session(installation.pool) as session:
        await table.give_back(session, worker=context.worker)
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE


async def test_the_request_that_caused_a_job_is_named_in_its_log_lines(
    installation: Installation, context: WorkerContext, tenant: Tenant, given_body: Callable[[Body], None]
) -> None:
    job = await queued(installation, KIND, tenant)
    bound: dict[str, object] = {}

    async def body(_: WorkerContext, __: Job, ___: Progress) -> None:
        bound.update(get_contextvars())

    given_body(body)
    await run_job(context, job.id)
    expected = {"request_id": "r1", "job_id": str(job.id), "kind": KIND, "tenant_id": str(tenant.id)}
    assert expected.items() <= bound.items()
    assert "job_id" not in get_contextvars()


def test_every_kind_of_job_has_a_body() -> None:
    assert HANDLERS.keys() == set(JobKind)
