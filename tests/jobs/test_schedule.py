"""The schedule: every finder has its time, and the worker knows every finder."""

from pathlib import Path

import msgspec
from structlog.testing import capture_logs

from core.job import JobKind
from jobs.broker import worker_broker
from jobs.context import WorkerContext
from jobs.schedule import Finder, schedules
from jobs.scheduler import PatientScheduler, Table
from shell.announce import RUN_JOB, announcer
from shell.settings import Secret, Settings
from tests.events import store, usage
from tests.installation import Installation, elsewhere, found, is_done, queued, rows
from tests.waiting import until
from tests.worker import working


def test_every_finder_is_in_the_schedule_once() -> None:
    found_schedules = schedules(Settings())
    assert [schedule.finder for schedule in found_schedules] == list(Finder)
    assert all(schedule.seconds >= 1 for schedule in found_schedules)


def test_the_worker_knows_every_finder_and_the_task_that_runs_jobs(context: WorkerContext) -> None:
    broker = worker_broker(Secret("redis://localhost"), context)
    assert {name for name in (*Finder, RUN_JOB) if broker.find_task(name) is None} == set()


async def test_what_the_scheduler_announces_the_worker_runs(own_installation: Installation) -> None:
    tenant = await found(own_installation)
    await store(own_installation, tenant, usage("one"))
    lost = await queued(own_installation, JobKind.PROVISION_TENANT, tenant)
    redis_url = elsewhere(own_installation)
    broker = announcer(redis_url)
    context = msgspec.structs.replace(own_installation.context, announcer=broker)
    table = Table(Settings())
    async with working(redis_url, context):
        for task in await table.get_schedules():
            await PatientScheduler(broker, [table]).on_ready(table, task)
        await until(lambda: rows(own_installation, f"SELECT FROM {tenant.schema}.cost_records"))
        await until(lambda: is_done(own_installation, lost.id))
    await broker.shutdown()


async def test_without_redis_the_scheduler_misses_a_beat_and_says_so(tmp_path: Path) -> None:
    broker, table = announcer(Secret(f"unix://{tmp_path}/redis.sock")), Table(Settings())
    (task, *_) = await table.get_schedules()
    with capture_logs() as logs:
        await PatientScheduler(broker, [table]).on_ready(table, task)
    await broker.shutdown()
    assert [(entry["event"], entry["finder"]) for entry in logs] == [
        ("schedule.not_announced", task.task_name)
    ]
