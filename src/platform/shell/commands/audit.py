"""`eu-platform audit`: the audit log as a file, and whether such a file is as it was signed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from core.audit import PLATFORM_CHAIN
from core.checkpoint import CheckpointMalformed, parse_public_key, public_key_text
from core.errors import InvalidInput
from core.verification import Report
from shell.audit_export import begin_export, export_lines
from shell.audit_files import verify_file
from shell.audit_key import audit_signer
from shell.commands.connect import Connected, command, connected, data_option, said_in_a_sentence
from shell.queries import SQL
from shell.sequencing import sequence_pending, sign_checkpoints
from shell.session import platform_session

NOT_AS_SIGNED: Final = 3
"""The exit code for a log that is not what was signed; 1 is an error, 2 a wrong option."""

_CONSOLE: Final = Console(stderr=True)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def audit() -> None:
    """The audit log: export it, and check an export."""


@audit.command()
@click.option("--tenant", "slug", help="Whose log: the tenant's slug; the platform's own by default.")
@click.option("--output", "-o", type=_FILE, help="Where to; audit-<chain>.jsonl in this folder by default.")
@data_option
@command
async def export(slug: str | None, output: Path | None, data: Path | None) -> None:
    """Write a log to a file, up to now, signed."""
    async with connected(data) as platform:
        chain = await _chain_of(platform, slug)
        file = output or Path(f"audit-{chain}.jsonl")
        size = await write_export(platform, chain, file)
        public_key = public_key_text(audit_signer(platform.settings).public_key)
    click.echo(f"{file}: {size:,} entries. Public key: {public_key}")


@audit.command()
@data_option
@command
async def key(data: Path | None) -> None:
    """Print the public key that verifies this installation's checkpoints."""
    async with connected(data) as platform:
        click.echo(public_key_text(audit_signer(platform.settings).public_key))


@audit.command()
@click.argument("file", type=_FILE)
@click.option(
    "--key",
    "public_keys",
    required=True,
    multiple=True,
    help="The public key, as `audit key` prints it. Repeated where the key was replaced.",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=_FILE,
    multiple=True,
    help="A checkpoint that you kept: the log must contain it. May be repeated.",
)
@click.option("--witness", type=_FILE, help="A witness's file: the log must contain all that it saw.")
def verify(
    file: Path, public_keys: tuple[str, ...], checkpoints: tuple[Path, ...], witness: Path | None
) -> None:
    """Check an exported log, with no database and no trust in who exported it.

    Exit code 0: the log is what was signed. 3: it is not, and the first bad entry is named. 1: an error.
    """
    kept_in = [*checkpoints, *([] if witness is None else [witness])]
    with said_in_a_sentence(), _bar(file) as progress:
        report = verify_file(
            file, public_keys=[_parsed(key) for key in public_keys], kept_in=kept_in, progress=progress
        )
    _say(report)
    if report.finding is not None:
        raise SystemExit(NOT_AS_SIGNED)


def _parsed(public_key: str) -> bytes:
    try:
        return parse_public_key(public_key)
    except CheckpointMalformed as error:
        raise click.BadParameter("is no public key as `eu-platform audit key` prints it.") from error


def _say(report: Report) -> None:
    if report.finding is not None:
        which = "" if report.finding.sequence is None else f"Entry {report.finding.sequence} "
        click.echo(f"Not as signed: {which}{report.finding.reason}.", err=True)
        return
    click.echo(
        f"As signed: {report.entries:,} entries of {report.chain}, {report.erased:,} of them without details "
        f"any more; {report.checkpoints:,} checkpoints hold. Root {report.root.hex()}."
    )


async def _chain_of(platform: Connected, slug: str | None) -> str:
    if slug is None:
        return PLATFORM_CHAIN
    async with platform_session(platform.pool, readonly=True) as session:
        chain = await session.connection.fetchval(SQL["chain_of_slug"], slug)
    if chain is None:
        raise InvalidInput(errors=[{"field": "--tenant", "detail": "there is no such tenant"}])
    return str(chain)


async def write_export(platform: Connected, chain: str, file: Path) -> int:
    """Sign a chain as it is now and write it to a file, whole or not at all; gives the number of entries."""
    await sequence_pending(platform.owner_pool)
    signer = audit_signer(platform.settings)
    await sign_checkpoints(platform.owner_pool, signer, datetime.now(UTC), wait=True)
    export_ = await begin_export(platform.pool, chain)
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as stream:
        async for chunk in export_lines(platform.pool, export_):
            stream.write(chunk)
    part.replace(file)
    return export_.size


@contextmanager
def _bar(file: Path) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(file.name), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task("bytes", total=file.stat().st_size if file.exists() else None)
        yield lambda read: bar.update(task, completed=read)
