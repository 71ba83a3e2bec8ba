"""The table of jobs: inserted with what needs them, taken by one worker at a time, ended once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.errors import NotFound, PeriodNotOver, SlugTaken, TenantGone
from core.job import MAX_ATTEMPTS, Job, JobKind, JobState
from shell import jobs
from shell.session import platform_session
from tests.installation import Installation, administrator, rows

MINUTE = timedelta(minutes=1)
RUN_OUT = timedelta(seconds=-1)


async def queued(installation: Installation, key: str | None = None) -> Job:
    async with platform_session(installation.pool) as session:
        return await jobs.enqueue(session, JobKind.CLOSE_DAYS, dedupe_key=key or str(uuid4()))


async def taken(installation: Installation, job: Job, worker: str, lease: timedelta = MINUTE) -> Job | None:
    async with platform_session(installation.pool) as session:
        return await jobs.take(session, job.id, worker=worker, lease=lease)


async def running(installation: Installation, worker: str = "w1", lease: timedelta = MINUTE) -> Job:
    job = await taken(installation, await queued(installation), worker, lease)
    assert job is not None
    return job


async def now_of(installation: Installation, job: Job) -> Job:
    async with platform_session(installation.pool) as session:
        return await jobs.get(session, job.id)


async def failed(installation: Installation, job: Job, error: Exception, worker: str = "w1") -> JobState:
    async with platform_session(installation.pool) as session:
        return await jobs.fail(session, job, error, worker=worker)


async def make_due(installation: Installation, job: Job) -> None:
    async with administrator(installation.admin_url) as admin:
        await admin.execute("UPDATE jobs SET not_before = now() - interval '1 s' WHERE id = $1", job.id)


async def delay_of(installation: Installation, job: Job) -> float:
    query = "SELECT extract(epoch FROM not_before - now())::float8 AS delay FROM jobs WHERE id = $1"
    return float(str((await rows(installation, query, job.id))[0]["delay"]))


# --- queued ---------------------------------------------------------------------------------------


async def test_a_job_is_queued_as_it_was_asked_for(installation: Installation) -> None:
    async with platform_session(installation.pool) as session:
        job = await jobs.enqueue(
            session,
            JobKind.INVOICE_MONTH,
            dedupe_key=str(uuid4()),
            args={"month": "2026-10"},
            request_id="r1",
        )
    assert await now_of(installation, job) == job
    assert (job.state, job.kind, job.args) == (JobState.QUEUED, JobKind.INVOICE_MONTH, {"month": "2026-10"})
    assert (job.attempts, job.progress, job.request_id, job.error) == (0, 0.0, "r1", None)


async def test_a_job_is_gone_with_the_transaction_that_needed_it(installation: Installation) -> None:
    key = str(uuid4())
    with pytest.raises(KeyError):
        async with platform_session(installation.pool) as session:
            await jobs.enqueue(session, JobKind.CLOSE_DAYS, dedupe_key=key)
            raise KeyError
    assert not await rows(installation, "SELECT FROM jobs WHERE dedupe_key = $1", key)


async def test_the_same_unfinished_work_is_one_job(installation: Installation) -> None:
    key = str(uuid4())
    first = await queued(installation, key)
    assert (await queued(installation, key)).id == first.id
    await taken(installation, first, "w1")
    assert (await queued(installation, key)).id == first.id


async def test_work_that_is_done_can_be_asked_for_again(installation: Installation) -> None:
    key = str(uuid4())
    first = await queued(installation, key)
    await taken(installation, first, "w1")
    async with platform_session(installation.pool) as session:
        await jobs.finish(session, first.id, worker="w1")
    assert (await queued(installation, key)).id != first.id


async def test_other_kinds_of_work_on_the_same_thing_are_other_jobs(installation: Installation) -> None:
    key = str(uuid4())
    first = await queued(installation, key)
    async with platform_session(installation.pool) as session:
        other = await jobs.enqueue(session, JobKind.INVOICE_MONTH, dedupe_key=key)
    assert other.id != first.id


async def test_twenty_who_ask_for_the_same_work_at_once_get_one_job(installation: Installation) -> None:
    key = str(uuid4())
    found = await asyncio.gather(*(queued(installation, key) for _ in range(20)))
    assert len({job.id for job in found}) == 1
    assert len(await rows(installation, "SELECT FROM jobs WHERE dedupe_key = $1", key)) == 1


async def test_an_unknown_job_is_not_found(installation: Installation) -> None:
    with pytest.raises(NotFound):
        async with platform_session(installation.pool) as session:
            await jobs.get(session, uuid4())


# --- taken ----------------------------------------------------------------------------------------


async def test_of_twenty_workers_one_takes_a_job(installation: Installation) -> None:
    job = await queued(installation)
    found = await asyncio.gather(*(taken(installation, job, f"w{number}") for number in range(20)))
    (winner,) = [one for one in found if one is not None]
    assert (winner.state, winner.attempts) == (JobState.RUNNING, 1)


async def test_a_leased_job_is_not_taken_by_anybody_not_even_by_its_holder(
    installation: Installation,
) -> None:
    job = await running(installation)
    assert await taken(installation, job, "w2") is None
    assert await taken(installation, job, "w1") is None


async def test_a_job_whose_lease_has_run_out_is_taken_by_the_next_worker(installation: Installation) -> None:
    job = await running(installation, lease=RUN_OUT)
    again = await taken(installation, job, "w2")
    assert again is not None
    assert again.attempts == 2


async def test_a_lease_is_kept_by_renewing_it(installation: Installation) -> None:
    job = await running(installation, lease=RUN_OUT)
    async with platform_session(installation.pool) as session:
        await jobs.renew(session, job.id, worker="w1", lease=MINUTE)
    assert await taken(installation, job, "w2") is None


async def test_a_finished_job_is_never_taken_again(installation: Installation) -> None:
    job = await running(installation)
    async with platform_session(installation.pool) as session:
        await jobs.finish(session, job.id, worker="w1")
    assert await taken(installation, job, "w2") is None
    done = await now_of(installation, job)
    assert (done.state, done.progress) == (JobState.DONE, 1.0)
    assert done.finished_at is not None


async def test_an_unknown_job_is_not_taken(installation: Installation) -> None:
    async with platform_session(installation.pool) as session:
        assert await jobs.take(session, uuid4(), worker="w1", lease=MINUTE) is None


async def test_progress_is_seen_while_the_job_runs(installation: Installation) -> None:
    job = await running(installation)
    async with platform_session(installation.pool) as session:
        await jobs.report(session, job.id, worker="w1", step="schema", progress=0.25)
    seen = await now_of(installation, job)
    assert (seen.step, seen.progress, seen.state) == ("schema", 0.25, JobState.RUNNING)


async def test_a_worker_that_has_lost_its_lease_changes_nothing_any_more(installation: Installation) -> None:
    job = await running(installation, worker="slow", lease=RUN_OUT)
    await taken(installation, job, "quick")
    async with platform_session(installation.pool) as session:
        await jobs.renew(session, job.id, worker="slow", lease=timedelta(days=1))
        await jobs.report(session, job.id, worker="slow", step="wrong", progress=0.9)
        await jobs.finish(session, job.id, worker="slow")
        await jobs.fail(session, job, KeyError(), worker="slow")
        await jobs.give_back(session, worker="slow")
    held = await now_of(installation, job)
    assert (held.state, held.step, held.error) == (JobState.RUNNING, None, None)
    query = "SELECT leased_by FROM jobs WHERE id = $1 AND leased_to < now() + interval '2 minutes'"
    assert await rows(installation, query, job.id) == [{"leased_by": "quick"}]


async def test_a_worker_that_stops_gives_its_own_jobs_back(installation: Installation) -> None:
    job, other = await running(installation, worker="stops"), await running(installation, worker="stays")
    async with platform_session(installation.pool) as session:
        await jobs.give_back(session, worker="stops")
    assert (await now_of(installation, job)).state is JobState.QUEUED
    assert (await now_of(installation, other)).state is JobState.RUNNING
    again = await taken(installation, job, "next")
    assert again is not None
    assert again.attempts == 1, "an attempt that was not used up does not count"


# --- failed -----------------------------------------------------------------------------------------


async def test_a_failed_job_is_tried_again_later_and_later_and_given_up_after_eight_attempts(
    installation: Installation,
) -> None:
    job = await queued(installation)
    delays: list[float] = []
    for attempt in range(1, MAX_ATTEMPTS):
        again = await taken(installation, job, "w1")
        assert again is not None
        assert again.attempts == attempt
        assert await failed(installation, again, KeyError()) is JobState.QUEUED
        assert await taken(installation, job, "w1") is None, "not before its time"
        delays.append(await delay_of(installation, job))
        await make_due(installation, job)
    last = await taken(installation, job, "w1")
    assert last is not None
    assert await failed(installation, last, KeyError()) is JobState.FAILED
    assert await taken(installation, job, "w1") is None
    assert (await now_of(installation, job)).finished_at is not None
    assert [round(delay) for delay in delays] == pytest.approx([2, 4, 8, 16, 32, 64, 128], abs=1)


async def test_the_error_of_an_attempt_is_gone_when_the_next_one_begins(installation: Installation) -> None:
    job = await running(installation)
    await failed(installation, job, KeyError())
    assert (await now_of(installation, job)).error == "KeyError"
    await make_due(installation, job)
    again = await taken(installation, job, "w1")
    assert again is not None
    assert again.error is None


@pytest.mark.parametrize("error", [PeriodNotOver(month="2026-11"), TenantGone(), NotFound(what="tenant")])
async def test_an_error_that_no_attempt_can_mend_ends_the_job(
    installation: Installation, error: Exception
) -> None:
    job = await running(installation)
    assert await failed(installation, job, error) is JobState.FAILED
    assert (await now_of(installation, job)).error == str(error)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("ada@example.com has the password hunter2"), "ValueError"),
        (SlugTaken(slug="acme"), "The slug acme is taken."),
        (SlugTaken(slug="a" * 900), "The slug " + "a" * 491),
    ],
)
async def test_only_our_own_errors_say_more_than_their_class(
    installation: Installation, error: Exception, message: str
) -> None:
    job = await running(installation)
    await failed(installation, job, error)
    assert (await now_of(installation, job)).error == message


# --- due, and forgotten -----------------------------------------------------------------------------


async def test_due_are_queued_jobs_and_those_whose_lease_has_run_out(own_installation: Installation) -> None:
    waiting = await queued(own_installation)
    await running(own_installation)
    lost = await running(own_installation, lease=RUN_OUT)
    later = await running(own_installation)
    await failed(own_installation, later, KeyError())
    done = await running(own_installation)
    async with platform_session(own_installation.pool) as session:
        await jobs.finish(session, done.id, worker="w1")
        assert await jobs.due(session, limit=10) == [waiting.id, lost.id], "the oldest first"
        assert await jobs.due(session, limit=1) == [waiting.id]


async def test_finished_jobs_are_forgotten_after_a_while_and_no_others(installation: Installation) -> None:
    done, open_job = await running(installation), await queued(installation)
    async with platform_session(installation.pool) as session:
        await jobs.finish(session, done.id, worker="w1")
        await jobs.forget_finished(session, before=datetime.now(UTC) - MINUTE)
        assert (await jobs.get(session, done.id)).state is JobState.DONE
        await jobs.forget_finished(session, before=datetime.now(UTC) + MINUTE)
        assert (await jobs.get(session, open_job.id)).state is JobState.QUEUED
        with pytest.raises(NotFound):
            await jobs.get(session, done.id)
