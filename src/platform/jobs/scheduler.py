"""The scheduler process: announces every finder when its time has come."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

import structlog
from taskiq import ScheduledTask, ScheduleSource, TaskiqScheduler
from taskiq.api import run_scheduler_task
from taskiq.exceptions import SendTaskError

from core.errors import SettingInvalid
from jobs.schedule import schedules
from shell.announce import announcer
from shell.logs import configure_logs
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

    async def startup(self) -> None:
        """Begin without Redis, too."""

    async def on_ready(self, source: ScheduleSource, task: ScheduledTask) -> None:
        """Announce a finder."""
        try:
            await super().on_ready(source, task)
        except SendTaskError as error:
            log.warning("schedule.not_announced", finder=task.task_name, error=type(error.__cause__).__name__)


async def schedule(settings: Settings) -> None:
    """Announce finders until SIGTERM or SIGINT."""
    if settings.redis_url is None:
        raise SettingInvalid(name="PLATFORM_REDIS_URL", reason="is not set")
    scheduler = PatientScheduler(announcer(settings.redis_url), [Table(settings)])
    loop = asyncio.create_task(run_scheduler_task(scheduler))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, loop.cancel)
    log.info("scheduler.ready")
    with suppress(asyncio.CancelledError):
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
