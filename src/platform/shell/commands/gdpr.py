"""`eu-platform gdpr`: a tenant's data as a package, and a package as a tenant."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn

from core.audit import AuditEntry
from core.errors import PlatformError
from core.portability import Format, Package
from shell.audit import append_entry
from shell.commands.connect import AT_THE_MACHINE, Connected, command, connected, data_option
from shell.commands.erasure import archive, ledger, replay_erasures, verify
from shell.commands.register import register
from shell.commands.retention import retain
from shell.portability import write_package
from shell.restoration import restore
from shell.session import tenant_session

GIB = 2**30

_CONSOLE = Console(stderr=True)


class FileExists(PlatformError):
    """There is a file {name} already."""

    fields = ("name",)


@click.group()
def gdpr() -> None:
    """Data protection."""


for each in (archive, ledger, replay_erasures, verify, retain, register):
    gdpr.add_command(each)


@gdpr.command("export")
@click.option("--tenant", "slug", required=True, help="Whose data it is: the tenant's slug.")
@click.option(
    "--format",
    "format_",
    type=click.Choice([each.value for each in Format]),
    default=Format.JSON.value,
    show_default=True,
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to; <slug>-<format>.tar.gz by default. It must not exist.",
)
@data_option
@command
async def export_tenant(slug: str, format_: str, output: Path | None, data: Path | None) -> None:
    """Write everything that the platform keeps for a tenant into one package (Art. 20 GDPR)."""
    path = output or Path(f"{slug}-{format_}.tar.gz")
    async with connected(data) as platform:
        with _new_file(path) as file:
            package = await _written(platform, slug, Format(format_), file)
    click.echo(f"{path}: {package.rows:,} rows, {package.size:,} bytes, SHA-256 {package.sha256}")


@gdpr.command("import")
@click.argument("package", metavar="PACKAGE", type=click.Path(path_type=Path))
@click.option("--slug", required=True, help="The new tenant's slug.")
@click.option(
    "--most-gib",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How much the package may unpack to, in GiB.",
)
@data_option
@command
async def import_package(package: Path, slug: str, most_gib: int, data: Path | None) -> None:
    """Make a new tenant from a package.

    The package is verified first: every file must be in its manifests, and as they say. People come without
    passwords and second factors; each asks for a password reset. When this is interrupted, the same command
    begins again.
    """
    with package.open("rb") as file:
        async with connected(data) as platform:
            with _reading(file, package.name) as read:
                restored = await restore(
                    platform.pool,
                    platform.owner_pool,
                    file,
                    slug=slug,
                    actor=AT_THE_MACHINE,
                    most_bytes=most_gib * GIB,
                    read=read,
                )
    click.echo(f"{slug}: {restored.rows:,} rows in {restored.tables} tables. The tenant is open.")
    click.echo("Its people have no passwords yet: each asks for a reset (POST /api/v1/auth/password-reset).")


async def _written(platform: Connected, slug: str, format_: Format, file: BinaryIO) -> Package:
    async with tenant_session(platform.pool, slug=slug, snapshot=True) as session:
        with _writing() as told:
            package = await write_package(session, file, format_, datetime.now(UTC), told=told)
    async with tenant_session(platform.pool, slug=slug) as session:
        details = {"format": package.format, "rows": str(package.rows), "sha256": package.sha256}
        subject = f"tenant:{session.tenant.id}"
        await append_entry(session, AuditEntry("tenant.exported", subject, AT_THE_MACHINE, details=details))
    return package


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name when it is whole, and for its owner alone; raises FileExists."""
    if path.exists():
        raise FileExists(name=path)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, path)  # unlike a rename, it refuses a name that somebody has taken meanwhile
        finally:
            Path(file.name).unlink()


@contextmanager
def _writing() -> Iterator[Callable[[float], Awaitable[None]]]:
    columns = (TextColumn("export"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task("export", total=1.0)

        async def told(share: float) -> None:
            bar.update(task, completed=share)
            await asyncio.sleep(0)

        yield told


@contextmanager
def _reading(file: BinaryIO, name: str) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn(name), BarColumn(), DownloadColumn())
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task(name, total=os.fstat(file.fileno()).st_size)
        yield lambda bytes_read: bar.update(task, completed=bytes_read)
