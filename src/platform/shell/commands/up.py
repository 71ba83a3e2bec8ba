"""`eu-platform up`: everything on one machine, until Ctrl-C."""

import asyncio
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import PlatformError
from shell.api_client import ApiClient
from shell.audit_key import ensure_audit_key
from shell.commands.connect import data_option, pools, said_in_a_sentence
from shell.embedded.folder import lock_data_folder
from shell.keys import ensure_key
from shell.migrations import migrate_public, migrate_tenants
from shell.processes import API, PROGRAMS, Supervisor, supervised
from shell.servers import prepare_roles, started_servers
from shell.settings import Settings, load_settings

if TYPE_CHECKING:
    from shell.demo.founding import DemoTenant

READY_SECONDS = 60
PORT_SECONDS = 3
LOOK_AGAIN_SECONDS = 0.05
CHECK_SECONDS = 0.5
UNLESS_SET = {"PLATFORM_API_PROCESSES": "2"}
"""One process of the API keeps one core busy; of two, one answers while the other is started again."""


class PortTaken(PlatformError):
    """Port {port} on {host} is taken by another program; choose another one with --port."""

    fields = ("host", "port")


class CannotListen(PlatformError):
    """Nobody can listen on {host}, port {port}, here: {reason}."""

    fields = ("host", "port", "reason")


class NotReady(PlatformError):
    """The API was not ready within {seconds} seconds; its log is {log}."""

    fields = ("seconds", "log")


@click.command()
@click.option("--host", help="Address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port to listen on; 8000 by default.")
@click.option("--demo/--no-demo", default=None, help="Found a demo tenant on the first start (default: yes).")
@data_option
def up(host: str | None, port: int | None, demo: bool | None, data: Path | None) -> None:
    """Run the whole platform here: embedded servers where none are named, API, worker and scheduler."""
    started = time.monotonic()
    with said_in_a_sentence(), interrupted_once() as stop:
        settings = load_settings(UNLESS_SET | os.environ, host=host, port=port, data=data, demo=demo)
        with running(settings, stop) as (complete, check):
            tenant = asyncio.run(_demo(complete)) if complete.demo and not stop.is_set() else None
            click.echo(_where_to_look(complete, tenant, time.monotonic() - started))
            _watch(check, stop)
    click.echo("Stopped.")


@contextmanager
def running(
    settings: Settings, stop: threading.Event | None = None
) -> Iterator[tuple[Settings, Callable[[], None]]]:
    """The whole platform for as long as the body runs; gives settings that name its servers, and a check.

    The check starts again what has ended, servers first; it raises where something keeps ending.

    Setting `stop` ends the wait until it is ready.
    """
    with lock_data_folder(settings.data):
        require_free_port(settings)
        with started_servers(settings) as servers:
            complete = asyncio.run(_prepared(servers.settings))
            with supervised(complete, *PROGRAMS) as supervisor:
                _wait_until_ready(complete, supervisor, stop or threading.Event())

                def check() -> None:
                    servers.check()
                    supervisor.check()

                yield complete, check


@contextmanager
def interrupted_once() -> Iterator[threading.Event]:
    """Let the first SIGINT, SIGTERM or SIGHUP end the body in good order; from then on they change nothing.

    A terminal, `uv` and `just` may each pass on the same Ctrl-C, and stopping must not be cut short by it.
    The event tells of the signal as well, since Python drops an interruption in some places (in a
    finalizer, for one).
    """
    numbers, stop = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP), threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        if not stop.is_set():
            stop.set()
            raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, on_signal)
    with suppress(KeyboardInterrupt):
        yield stop
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def require_free_port(settings: Settings) -> None:
    """Refuse to start where nobody can listen, or another program does: raises CannotListen, PortTaken.

    Waits a little for the API of a run that was killed a moment ago.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while not _is_port_free(settings):
        if time.monotonic() > deadline:
            raise PortTaken(host=settings.host, port=settings.port)
        time.sleep(LOOK_AGAIN_SECONDS)


def _is_port_free(settings: Settings) -> bool:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            reason = error.strerror or str(error)
            raise CannotListen(host=settings.host, port=settings.port, reason=reason) from error
    return True


def _watch(check: Callable[[], None], stop: threading.Event) -> None:
    with suppress(KeyboardInterrupt):
        while not stop.wait(CHECK_SECONDS):
            check()
    click.echo("Stopping …")


async def _prepared(located: Settings) -> Settings:
    """Roles, migrations and a signing key."""
    settings = await prepare_roles(located)
    ensure_key(settings)
    ensure_audit_key(settings)
    async with pools(settings) as both:
        await migrate_public(both.owner_pool)
        await migrate_tenants(both.owner_pool)
    return settings


def _wait_until_ready(settings: Settings, supervisor: Supervisor, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_SECONDS
    client = ApiClient(base_url(settings))
    while not client.is_ready():
        supervisor.check()
        if time.monotonic() > deadline:
            raise NotReady(seconds=READY_SECONDS, log=supervisor.log_of(API))
        if stop.wait(LOOK_AGAIN_SECONDS):
            raise KeyboardInterrupt


def base_url(settings: Settings) -> str:
    """Where the API is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 -- compared, not bound
    return f"http://{host}:{settings.port}"


async def _demo(settings: Settings) -> "DemoTenant | None":
    # Importing these takes longer than the rest of this command, which may be refused, or asked for no demo.
    from shell.demo.accounts import SlugNotOurs  # noqa: PLC0415
    from shell.demo.founding import found_demo_tenant  # noqa: PLC0415

    async with pools(settings) as platform:
        try:
            return await found_demo_tenant(platform, ApiClient(base_url(settings)))
        except SlugNotOurs as error:
            click.echo(f"No demo tenant: {error}", err=True)
            return None


def _where_to_look(settings: Settings, tenant: "DemoTenant | None", seconds: float) -> str:
    url = base_url(settings)
    lines = [
        f"The platform is ready after {seconds:.1f} s. Ctrl-C stops it.",
        "",
        f"  API documentation  {url}/docs",
        f"  Health             {url}/health",
        f"  Metrics            {url}/metrics",
        f"  Data and logs      {settings.data.resolve()}",
    ]
    return "\n".join([*lines, *(_demo_lines(url, tenant) if tenant else [])])


def _demo_lines(url: str, tenant: "DemoTenant") -> list[str]:
    login = f'{{"tenant":"{tenant.slug}","email":"{tenant.email}","password":"{tenant.password.value}"}}'
    return [
        "",
        f"  Demo tenant        {tenant.slug}, {tenant.email}, password {tenant.password.value}",
        "",
        "Log in, then look at this month's cost:",
        "",
        f"  TOKEN=$(curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' \\",
        f"    -d '{login}' | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')",
        f'  curl -s {url}/api/v1/tenants/{tenant.id}/costs/current -H "Authorization: Bearer $TOKEN"',
    ]
