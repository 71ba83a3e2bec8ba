"""`eu-platform up`: everything on one machine, until Ctrl-C."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from core.errors import PlatformError
from shell.api_client import ApiClient
from shell.commands.connect import data_option, pools, said_in_a_sentence
from shell.demo.accounts import SlugNotOurs
from shell.demo.founding import DemoTenant, found_demo_tenant
from shell.keys import ensure_key
from shell.migrations import migrate_public, migrate_tenants
from shell.processes import API, PROGRAMS, Supervisor, supervised
from shell.servers import held_servers, prepare_roles
from shell.settings import Settings, load_settings

READY_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.05
CHECK_SECONDS = 0.5


class PortTaken(PlatformError):
    """Port {port} on {host} is taken by another program; choose another one with --port."""

    fields = ("host", "port")


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
    with said_in_a_sentence(), stopping() as stop:
        settings = load_settings(os.environ, host=host, port=port, data=data, demo=demo)
        require_free_port(settings)
        with running(settings) as (complete, supervisor):
            tenant = asyncio.run(_demo(complete)) if complete.demo else None
            click.echo(_where_to_look(complete, tenant, time.monotonic() - started))
            while not stop.wait(CHECK_SECONDS):
                supervisor.check()
            click.echo("Stopping …")
    click.echo("Stopped.")


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Settings, Supervisor]]:
    """The whole platform for as long as the body runs; gives settings that name its servers."""
    with held_servers(settings) as located:
        complete = asyncio.run(_prepared(located))
        with supervised(complete, *PROGRAMS) as supervisor:
            _wait_until_ready(complete, supervisor)
            yield complete, supervisor


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; before anybody waits for it, they end what is being done."""
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        del number, frame
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def require_free_port(settings: Settings) -> None:
    """Refuse to start where another program listens already: raises PortTaken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortTaken(host=settings.host, port=settings.port) from error


async def _prepared(located: Settings) -> Settings:
    """Roles, migrations and a signing key."""
    settings = await prepare_roles(located)
    ensure_key(settings)
    async with pools(settings) as both:
        await migrate_public(both.owner_pool)
        await migrate_tenants(both.owner_pool)
    return settings


def _wait_until_ready(settings: Settings, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + READY_SECONDS
    client = ApiClient(base_url(settings))
    while not client.is_ready():
        supervisor.check()
        if time.monotonic() > deadline:
            raise NotReady(seconds=READY_SECONDS, log=supervisor.log_of(API))
        time.sleep(LOOK_AGAIN_SECONDS)


def base_url(settings: Settings) -> str:
    """Where the API is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 -- compared, not bound
    return f"http://{host}:{settings.port}"


async def _demo(settings: Settings) -> DemoTenant | None:
    async with pools(settings) as platform:
        try:
            return await found_demo_tenant(platform, ApiClient(base_url(settings)))
        except SlugNotOurs as error:
            click.echo(f"No demo tenant: {error}", err=True)
            return None


def _where_to_look(settings: Settings, tenant: DemoTenant | None, seconds: float) -> str:
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


def _demo_lines(url: str, tenant: DemoTenant) -> list[str]:
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
