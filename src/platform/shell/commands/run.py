"""`eu-platform api`, `worker`, `scheduler`: one process each, on servers that settings name."""

import os

import click

from core.errors import SettingInvalid
from shell.commands.connect import said_in_a_sentence
from shell.processes import API, SCHEDULER, WORKER, Program, replace_process
from shell.settings import load_settings


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def api(host: str | None, port: int | None) -> None:
    """Serve the HTTP API."""
    _become(API, needed=("database_url", "redis_url"), host=host, port=port)


@click.command()
def worker() -> None:
    """Run jobs."""
    _become(WORKER, needed=("database_url", "owner_database_url", "redis_url"))


@click.command()
def scheduler() -> None:
    """Announce what is due; run one of these."""
    _become(SCHEDULER, needed=("redis_url",))


def _become(program: Program, *, needed: tuple[str, ...], **overrides: object) -> None:
    with said_in_a_sentence():
        settings = load_settings(os.environ, **overrides)
        for field in needed:
            if getattr(settings, field) is None:
                raise SettingInvalid(name="PLATFORM_" + field.upper(), reason="is not set")
        replace_process(program, settings)
