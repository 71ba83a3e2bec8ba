"""`eu-platform demo`: the whole pipeline once, with a report."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from shell.commands.connect import pools, said_in_a_sentence
from shell.commands.up import base_url, require_free_port, running
from shell.demo.customers import SERIES
from shell.demo.demonstration import Recordings, demonstrate
from shell.demo.report import Report, print_report
from shell.demo.series import find_series, open_all_series
from shell.demo.steps import Steps
from shell.settings import Settings, load_settings

INTERRUPTED = 130
REMOVE_SECONDS = 3.0
LOOK_AGAIN_SECONDS = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM)
HERE = "127.0.0.1"
NAMES_OF_SERVERS = ("PLATFORM_DATABASE_URL", "PLATFORM_OWNER_DATABASE_URL", "PLATFORM_REDIS_URL")


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data in this folder; a temporary one by default.",
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of the API; a free one by default.")
@click.option(
    "--series",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the recorded series; ../shared/data/aws_cloudwatch, if it is there, by default.",
)
def demo(data: Path | None, port: int | None, series: Path | None) -> None:
    """Run the whole pipeline once, on embedded servers of its own, print a report and leave.

    Three tenants are founded, their usage is taken in, and its days are closed, priced, judged and invoiced.
    """
    with said_in_a_sentence(), ended_by_signals():
        folder = series or find_series(SERIES)
        recordings = None if folder is None else open_all_series(folder, SERIES)
        with data_folder(data) as kept:
            report = _demonstration(_settings(kept, port), recordings)
        click.echo(err=True)
        print_report(report)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the body, once: while it stops what it has started, more of them are ignored."""
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted; everything that was started has been stopped.", err=True)
        sys.exit(INTERRUPTED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def data_folder(given: Path | None) -> Iterator[Path]:
    """The given folder, or one that is removed at the end; after a failure it stays, for its logs."""
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="eu-platform-demo-"))
    try:
        yield folder
    except Exception:
        click.echo(f"The data and logs of the demonstration that failed are in {folder}", err=True)
        raise
    except BaseException:
        _remove(folder)
        raise
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder in which a server that was interrupted may write for another moment."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(LOOK_AGAIN_SECONDS)


def _demonstration(settings: Settings, recordings: Recordings | None) -> Report:
    steps = Steps()
    with ExitStack() as stack:
        with steps.step("Starting PostgreSQL, Redis, API, worker, scheduler"):
            complete, _ = stack.enter_context(running(settings))
        stack.callback(_ignore_signals)
        report = asyncio.run(_demonstrated(complete, recordings, steps))
        with steps.step("Stopping"):
            stack.close()
    return report


async def _demonstrated(settings: Settings, recordings: Recordings | None, steps: Steps) -> Report:
    async with pools(settings) as platform:
        return await demonstrate(platform, base_url(settings), recordings, steps)


def _settings(data: Path, port: int | None) -> Settings:
    """Settings of the environment, apart from servers: the demonstration never writes to somebody's own."""
    environ = {name: value for name, value in os.environ.items() if name not in NAMES_OF_SERVERS}
    settings = load_settings(environ, data=data, port=port or _free_port(), host=HERE)
    if port is not None:
        require_free_port(settings)
    return settings


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
