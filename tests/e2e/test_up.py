"""`eu-platform up` as a user runs it: a process that is started, interrupted, killed and started again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from core.resource import Resource
from shell.embedded.folder import remove_folder
from shell.embedded.postgres import start_postgres, stop_postgres
from shell.embedded.redis import start_redis, stop_redis
from tests.e2e.platform_process import PASSWORD, free_port, is_gone

PROGRAM = str(Path(sys.executable).with_name("eu-platform"))
BASH = shutil.which("bash")
READY = "Ctrl-C stops it."
READY_SECONDS = 60
STOP_SECONDS = 5
LOOK_AGAIN = 0.01


class Run:
    """A run of `eu-platform up`, and all processes that it has started."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        """A process that writes to `out` and `err` in this folder."""
        self._process = process
        self._folder = folder
        self._known: set[psutil.Process] = set()

    @property
    def pid(self) -> int:
        """The id of the process that was started; `up` itself may be a descendant of it."""
        return self._process.pid

    @property
    def out(self) -> str:
        """What it has printed."""
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it has complained about."""
        return (self._folder / "err").read_text()

    def until(self, look: Callable[[], bool], *, seconds: float = READY_SECONDS) -> None:
        """Wait until something is so, and remember all processes that are seen meanwhile."""
        deadline = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < deadline, f"not so within {seconds} s: {self.out}{self.err}"
            assert self._process.poll() is None or look(), f"it has ended: {self.out}{self.err}"
            time.sleep(LOOK_AGAIN)
        self.processes()

    def ready(self) -> "Run":
        """Wait until it says where to look."""
        self.until(lambda: READY in self.out)
        return self

    def processes(self) -> dict[psutil.Process, list[str]]:
        """Every process that it has started and that runs now, with its command line."""
        found = {}
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.pid).children(recursive=True):
                self._known.add(process)
                with suppress(psutil.NoSuchProcess):
                    found[process] = process.cmdline()
        return found

    def program(self, module: str) -> psutil.Process | None:
        """The process that runs this module now."""
        found = (process for process, line in self.processes().items() if line[1:] == ["-m", module])
        return next(found, None)

    def send(self, *numbers: signal.Signals) -> None:
        """Send signals, one right after the other."""
        for number in numbers:
            self._process.send_signal(number)

    def press_ctrl_c(self, times: int = 1) -> None:
        """Send SIGINT to the whole group, as a terminal does."""
        for _ in range(times):
            os.killpg(self.pid, signal.SIGINT)

    def ended(self, *, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once it has ended and nothing of it runs any more."""
        self.processes()
        deadline = time.monotonic() + seconds
        code = self._process.wait(seconds)
        while left := [process for process in {*self._known, *self._strays()} if runs(process)]:
            assert time.monotonic() < deadline, left
            time.sleep(LOOK_AGAIN)
        return code

    def _strays(self) -> Iterator[psutil.Process]:
        """Processes on the data folder, also those whose parent is gone."""
        data = str(self._folder / "data")
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if data in process.cmdline() or data == process.environ().get("PLATFORM_DATA"):
                    yield process

    def kill(self) -> None:
        """End it without a warning."""
        self._process.kill()
        self._process.wait()


@contextmanager
def up(
    folder: Path,
    *,
    port: int,
    options: Sequence[str] = ("--no-demo",),
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (PROGRAM, "up"),
) -> Iterator[Run]:
    """Run `eu-platform up` on `folder/data` for as long as the body runs, with one API process."""
    folder.mkdir(exist_ok=True)
    place = ["--data", str(folder / "data"), "--port", str(port)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLATFORM_")}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*command, *place, *options],
            stdout=out,
            stderr=err,
            env={**inherited, "PLATFORM_API_PROCESSES": "1", **(environment or {})},
            process_group=0,
        )
    run = Run(process, folder)
    try:
        yield run
    finally:
        if process.poll() is None:
            run.send(signal.SIGTERM)
            try:
                run.ended(seconds=2 * STOP_SECONDS)
            finally:
                run.kill()


def runs(process: psutil.Process) -> bool:
    """Whether this very process runs, and not another one that has got its id."""
    return process.is_running() and not is_gone(process.pid)


def sentence(folder: Path, **arguments: Any) -> str:
    """What `up` says where it cannot start."""
    with up(folder, **arguments) as run:
        assert run.ended(seconds=READY_SECONDS) == 1
        assert run.out == ""
        return run.err


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Run]:
    """A first start on a fresh data folder, which all tests share that do not stop it."""
    as_a_user = {"PLATFORM_API_PROCESSES": ""}
    with up(tmp_path_factory.mktemp("up"), port=port, environment=as_a_user) as run:
        yield run.ready()


# --- while it runs ---------------------------------------------------------------------------------


def test_up_says_where_to_look(running: Run, port: int) -> None:
    urls = re.findall(r"http://\S+", running.out)
    assert urls == [f"http://127.0.0.1:{port}/{page}" for page in ("docs", "health", "metrics")]
    for url in urls:
        assert httpx.get(url).status_code == 200


def test_the_process_that_faces_the_internet_has_not_the_credentials_of_the_owner(running: Run) -> None:
    api = running.program("web.serve")
    assert api is not None
    for process in [api, *api.children(recursive=True)]:
        seen = process.environ()
        assert "PLATFORM_DATABASE_URL" in seen
        assert "PLATFORM_OWNER_DATABASE_URL" not in seen
        assert not any("platform_owner" in value for value in seen.values())


def test_no_password_and_no_url_is_on_a_command_line(running: Run) -> None:
    worker = running.program("jobs.worker")
    assert worker is not None
    environment = worker.environ()
    urls = [environment[f"PLATFORM_{name}_URL"] for name in ("DATABASE", "OWNER_DATABASE", "REDIS")]
    passwords = [re.search(r":([^:@]+)@", url) for url in urls[:2]]
    secrets = [*urls, *(found[1] for found in passwords if found)]
    assert len(secrets) == 5
    for line in running.processes().values():
        assert not any(secret in word for secret in secrets for word in line)


@pytest.mark.parametrize("module", ["jobs.worker", "jobs.scheduler", "web.serve"])
def test_a_process_that_is_killed_is_started_again_and_leaves_nothing_behind(
    running: Run, port: int, module: str
) -> None:
    killed = running.program(module)
    assert killed is not None
    family = [killed, *killed.children(recursive=True)]
    killed.kill()
    running.until(lambda: not any(runs(process) for process in family))
    running.until(lambda: running.program(module) is not None)
    running.until(lambda: is_ready(port))


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_an_embedded_server_that_is_killed_is_started_again(running: Run, port: int, name: str) -> None:
    def server() -> psutil.Process | None:
        found = [process for process in running.processes() if runs(process) and process.name() == name]
        return min(found, key=psutil.Process.create_time, default=None)  # the parent of its helpers

    killed = server()
    assert killed is not None
    killed.kill()
    running.until(lambda: server() not in {killed, None})
    running.until(lambda: is_ready(port))


def test_a_second_up_on_the_same_folder_is_refused_in_a_sentence(
    running: Run, tmp_path: Path, port: int
) -> None:
    said = sentence(tmp_path, port=port, options=["--data", data_of(running)])
    assert re.fullmatch(
        r"Error: The data folder \S+ is in use by the running process \d+; stop that one first\.\n", said
    )


def test_a_busy_port_is_told_in_a_sentence(running: Run, tmp_path: Path, port: int) -> None:
    said = sentence(tmp_path, port=port)
    assert said == (
        f"Error: Port {port} on 127.0.0.1 is taken by another program; choose another one with --port.\n"
    )


# --- what cannot be --------------------------------------------------------------------------------


def test_an_unusable_data_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    options = ["--data", str(tmp_path / "data" / "folder")]
    said = sentence(tmp_path, port=free_port(), options=options)
    assert said == f"Error: The folder {options[1]} cannot be used: Not a directory.\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_data_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    said = sentence(tmp_path, port=free_port())
    assert said == f"Error: The folder {tmp_path / 'data'} cannot be used: Permission denied.\n"


def test_a_database_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql://somebody:s3cret@127.0.0.1:{free_port()}/platform"
    said = sentence(tmp_path, port=free_port(), environment={"PLATFORM_DATABASE_URL": url})
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "s3cret" not in said


def test_an_address_of_another_machine_is_told_in_a_sentence(tmp_path: Path) -> None:
    said = sentence(tmp_path, port=free_port(), options=["--host", "192.0.2.1"])
    assert re.fullmatch(r"Error: Nobody can listen on 192\.0\.2\.1, port \d+, here: [\w ]+\.\n", said)


# --- how it ends -----------------------------------------------------------------------------------


def test_what_was_stored_outlives_ctrl_c_and_even_being_killed(tmp_path: Path) -> None:
    port = free_port()
    with up(tmp_path, port=port, command=as_in_the_readme()) as first:
        first.ready()
        register(port)
        first.press_ctrl_c()
        first.ended()
        assert first.out.endswith("Stopping …\nStopped.\n")
        assert first.err in {"", "error: interrupted by SIGINT\n"}  # that is what just says
    with up(tmp_path, port=port) as second:
        second.ready()
        log_in(port)
        second.kill()
        with up(tmp_path, port=port) as third:
            third.ready()
            log_in(port)
            third.send(signal.SIGTERM, signal.SIGTERM)
            assert third.ended() == 0
            assert third.err == ""


MOMENTS = [
    "lock",
    "postgres/cluster.new",
    "postgres/cluster/postmaster.pid",
    "redis/redis.pid",
    "keys",
    "logs/api.log",
]
"""What appears in the data folder while the platform starts."""


def test_ctrl_c_leaves_no_process_behind_neither_during_the_start_nor_when_all_runs(tmp_path: Path) -> None:
    port = free_port()
    for moment, number in zip(MOMENTS, 3 * [signal.SIGINT, signal.SIGTERM], strict=True):
        file = tmp_path / "data" / moment
        remove(file)  # the last one may have come further than to its own moment
        with up(tmp_path, port=port) as interrupted:
            interrupted.until(file.exists)
            interrupted.send(number, number)
            assert interrupted.ended() == 0, moment
            assert (interrupted.out, interrupted.err) == ("Stopped.\n", "")
    with up(tmp_path, port=port) as complete:
        worker = complete.ready().program("jobs.worker")
        assert worker is not None
        worker.suspend()  # a process that hangs does not keep the others
        complete.press_ctrl_c(times=3)
        assert complete.ended() == 0
        assert complete.out.endswith("Stopping …\nStopped.\n")
        assert complete.err == ""


def test_up_runs_on_servers_of_ones_own_and_leaves_them_running(tmp_path: Path) -> None:
    port = free_port()
    postgres, redis = start_postgres(tmp_path / "own"), start_redis(tmp_path / "own")
    try:
        environment = {"PLATFORM_DATABASE_URL": postgres.admin_url, "PLATFORM_REDIS_URL": redis.url}
        with up(tmp_path, port=port, environment=environment) as run:
            run.ready()
            register(port)
            run.send(signal.SIGTERM)
            assert run.ended() == 0
        assert not (tmp_path / "data" / "postgres").exists()
        assert not is_gone(postgres.pid)
        assert not is_gone(redis.pid)
    finally:
        stop_redis(redis)
        stop_postgres(postgres)


@pytest.mark.skipif(BASH is None or shutil.which("curl") is None, reason="bash or curl is missing")
def test_the_commands_that_up_prints_log_in_and_show_what_the_month_costs(tmp_path: Path) -> None:
    with up(tmp_path, port=free_port(), options=["--demo"]) as run:
        run.ready()
        run.until(lambda: "Authorization: Bearer" in run.out)
        commands = run.out[run.out.index("TOKEN=") :]
        shown = subprocess.run([str(BASH), "-euc", commands], capture_output=True, text=True, check=True)
        costs = json.loads(shown.stdout)
        assert costs["total"]["currency"] == "EUR"
        assert Decimal(costs["total"]["amount"]) > 0 or datetime.now(UTC).day == 1
        assert {item["resource"] for item in costs["resources"]} <= set(Resource)
        demo = re.search(r"Demo tenant +(\S+), (\S+), password (\S+)", run.out)
        assert demo is not None
        assert not any(demo[3] in file.read_text() for file in (tmp_path / "data" / "logs").iterdir())


# --- what a user does ------------------------------------------------------------------------------


def as_in_the_readme() -> list[str]:
    """The command of the README, where uv is installed: each of its parts gets a signal, and passes it on."""
    return ["uv", "run", "--no-sync", "just", "up"] if shutil.which("uv") else [PROGRAM, "up"]


def register(port: int) -> None:
    """Found an organisation."""
    organisation = {"name": "Acme", "slug": "acme", "country": "DE"}
    account = {"email": "owner@acme.example", "password": PASSWORD, "full_name": "Ada Owner"}
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/auth/register",
        json={"organisation": organisation, **account},
        timeout=READY_SECONDS,
    )
    assert answer.status_code in {201, 202}, answer.text


def log_in(port: int) -> None:
    """Log the owner of the organisation in."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/auth/login",
        json={"tenant": "acme", "email": "owner@acme.example", "password": PASSWORD},
        timeout=READY_SECONDS,
    )
    assert answer.status_code == 200, answer.text


def is_ready(port: int) -> bool:
    """Whether the API serves requests."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success
    except httpx.TransportError:
        return False


def data_of(run: Run) -> str:
    """The data folder, as `up` prints it."""
    found = re.search(r"Data and logs +(\S+)", run.out)
    assert found is not None
    return found[1]


def remove(place: Path) -> None:
    """Remove a file or a folder; a missing one is fine."""
    if place.is_dir():
        remove_folder(place)
    else:
        place.unlink(missing_ok=True)
