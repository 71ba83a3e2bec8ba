"""The scheduler process: announces every finder when its time has come."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

import structlog
from taskiq import AsyncBroker, ScheduledTask, ScheduleSource, TaskiqScheduler
from taskiq.api import run_scheduler_task
from taskiq.exceptions import SendTaskError

from core.errors import SettingInvalid
from jobs.schedule import schedules
from shell.announce import announcer
from shell.logs import configure_logs
from shell.measures import ANNOUNCEMENTS, FINDER_INTERVAL, SCHEDULER_LAG
from shell.metrics_server import measure_process, metrics_served
from shell.settings import Settings, load_settings

log = structlog.get_logger()


class Table(ScheduleSource):
    """The schedule as taskiq reads it."""

    def __init__(self, settings: Settings) -> None:
        """Read the table once: it does not change while the process runs."""
        self._tasks = [
            ScheduledTask(
                task_name=schedule.finder,
                labels={},
                args=[],
                kwargs={},
                schedule_id=schedule.finder,
                interval=schedule.seconds,
            )
            for schedule in schedules(settings)
        ]

    async def get_schedules(self) -> list[ScheduledTask]:
        """Every row."""
        return self._tasks


class PatientScheduler(TaskiqScheduler):
    """Misses a beat while Redis is away, and goes on with the next."""

    def __init__(self, broker: AsyncBroker, sources: list[ScheduleSource]) -> None:
        """Nothing was announced yet."""
        super().__init__(broker, sources)
        self._announced: dict[str, float] = {}

    async def startup(self) -> None:
        """Begin without Redis, too."""

    async def on_ready(self, source: ScheduleSource, task: ScheduledTask) -> None:
        """Announce a finder, and measure by how much that is late."""
        self._measure_lag(task)
        try:
            await super().on_ready(source, task)
            ANNOUNCEMENTS.labels(task.task_name, "sent").inc()
        except SendTaskError as error:
            ANNOUNCEMENTS.labels(task.task_name, "missed").inc()
            log.warning("schedule.not_announced", finder=task.task_name, error=type(error.__cause__).__name__)

    def _measure_lag(self, task: ScheduledTask) -> None:
        now, before = time.monotonic(), self._announced.get(task.task_name)
        self._announced[task.task_name] = now
        if before is not None and isinstance(task.interval, int):
            SCHEDULER_LAG.labels(task.task_name).set(max(0.0, now - before - task.interval))


async def schedule(settings: Settings) -> None:
    """Announce finders until SIGTERM or SIGINT."""
    if settings.redis_url is None:
        raise SettingInvalid(name="PLATFORM_REDIS_URL", reason="is not set")
    scheduler = PatientScheduler(announcer(settings.redis_url), [Table(settings)])
    loop = asyncio.create_task(run_scheduler_task(scheduler))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, loop.cancel)
    measure_process("scheduler")
    for row in schedules(settings):
        FINDER_INTERVAL.labels(row.finder).set(row.seconds)
        SCHEDULER_LAG.labels(row.finder).set(0)
    log.info("scheduler.ready")
    with metrics_served(settings.host, settings.scheduler_metrics_port), suppress(asyncio.CancelledError):
        await loop
    log.info("scheduler.stopped")


def main() -> None:
    """Entry point of `python -m jobs.scheduler`."""
    settings = load_settings(os.environ)
    configure_logs(service="scheduler", level=settings.log_level)
    try:
        asyncio.run(schedule(settings))
    except Exception:
        log.exception("scheduler.failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
