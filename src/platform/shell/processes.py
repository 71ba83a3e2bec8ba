"""The platform's processes: API, worker and scheduler, started, watched and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from core.errors import PlatformError
from shell.embedded.launch import dies_with_us, under
from shell.metrics import FOLDER_VARIABLE
from shell.restarts import Restarts
from shell.settings import PREFIX, Secret, Settings

STOP_SECONDS = 3.0
LOG_LINES = 8


class ProcessDidNotStay(PlatformError):
    """The {name} ended again and again; its log {log} ends with: {tail}"""

    fields = ("name", "log", "tail")


class Program(msgspec.Struct, frozen=True):
    """One of our processes: its name, its module, and the settings that it must not have."""

    name: str
    module: str
    withheld: tuple[str, ...] = ()


API = Program("api", "web.serve", withheld=("owner_database_url", "backup_key"))
WORKER = Program("worker", "jobs.worker", withheld=("backup_key",))
SCHEDULER = Program(
    "scheduler", "jobs.scheduler", withheld=("database_url", "owner_database_url", "backup_key")
)
PROGRAMS = (API, WORKER, SCHEDULER)


def environment(program: Program, settings: Settings) -> dict[str, str]:
    """The environment that a process runs with: ours, the settings, and none that is withheld from it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {
        PREFIX + field.upper(): _text(value)
        for field, value in msgspec.structs.asdict(settings).items()
        if value is not None and field not in program.withheld
    }
    return inherited | given | {FOLDER_VARIABLE: str(metrics_folder(program, settings).resolve())}


def metrics_folder(program: Program, settings: Settings) -> Path:
    """Where a process counts: apart from the others where it has a `/metrics` of its own."""
    ports = {WORKER.name: settings.worker_metrics_port, SCHEDULER.name: settings.scheduler_metrics_port}
    shared = settings.metrics_folder
    return shared / program.name if ports.get(program.name) else shared


def replace_process(program: Program, settings: Settings) -> None:
    """Become one of the processes: what `eu-platform api`, `worker` and `scheduler` do."""
    metrics_folder(program, settings).mkdir(parents=True, exist_ok=True)
    os.execve(sys.executable, _command(program), environment(program, settings))  # noqa: S606 -- our own module


class Supervisor:
    """Starts processes, starts one again that ends, and stops them together."""

    def __init__(self, settings: Settings, programs: Sequence[Program] = PROGRAMS) -> None:
        """Begin with empty counters: those of processes that are gone would be added up for ever."""
        self._settings = settings
        self._programs = programs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = Restarts()
        for folder in {metrics_folder(program, settings) for program in programs}:
            folder.mkdir(parents=True, exist_ok=True)
            for file in folder.glob("*.db"):
                file.unlink()

    def start(self) -> None:
        """Start all processes."""
        for program in self._programs:
            self._start(program)

    def check(self) -> None:
        """Start again what has ended; raises ProcessDidNotStay for one that keeps ending."""
        for program in self._programs:
            process = self._running[program.name]
            if process.poll() is None:
                continue
            _kill_group(process)
            if self._restarts.are_too_many(program.name):
                log = self.log_of(program)
                raise ProcessDidNotStay(name=program.name, log=log, tail=_tail(log))
            time.sleep(self._restarts.pause_seconds(program.name))
            self._start(program)

    def stop(self) -> None:
        """Ask all to stop, and end those that do not within some seconds."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _kill_group(process)
            process.wait()

    def log_of(self, program: Program) -> Path:
        """Where a process writes its log."""
        return self._settings.data / "logs" / f"{program.name}.log"

    def pid_of(self, program: Program) -> int:
        """The process's id."""
        return self._running[program.name].pid

    def _start(self, program: Program) -> None:
        log = self.log_of(program)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._running[program.name] = subprocess.Popen(
                under(dies_with_us("TERM"), _command(program)),
                env=environment(program, self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the others
            )


@contextmanager
def supervised(settings: Settings, *programs: Program) -> Iterator[Supervisor]:
    """Run processes for as long as the body runs."""
    supervisor = Supervisor(settings, programs)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def _command(program: Program) -> list[str]:
    return [sys.executable, "-m", program.module]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process: the API's workers outlive it when it is killed."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _text(value: object) -> str:
    if isinstance(value, Secret):
        return value.value
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value.resolve()) if isinstance(value, Path) else str(value)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-LOG_LINES:])
