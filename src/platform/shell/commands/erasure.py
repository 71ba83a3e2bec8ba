"""`eu-platform gdpr replay`, `ledger`, `archive`, `verify`: erasures, their proofs, and what is kept."""

import sys
from pathlib import Path
from uuid import UUID

import click
import msgspec

from core.deletion_ledger import LedgerEntry
from core.errors import InvalidInput
from shell import deletion_ledger, legal_archive
from shell.certificates import is_genuine
from shell.commands.connect import AT_THE_MACHINE, command, connected, data_option
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.replay import replay
from shell.session import platform_session

LEAST_REASON, LONGEST_REASON = 10, 500


@click.command("replay")
@click.option(
    "--ledger",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A copy that `gdpr ledger` wrote, besides those in the object store.",
)
@data_option
@command
async def replay_erasures(file: Path | None, data: Path | None) -> None:
    """Erase again what a restored backup brought back; before the platform is opened to anybody."""
    known = [] if file is None else _entries_in(file)
    async with connected(data) as platform:
        found = await replay(platform, known)
    counts = (
        f"{len(found.tenants)} tenants, {found.schemas} schemas, {found.persons} persons, "
        f"{len(found.archives)} archives"
    )
    click.echo(f"Erased again: {counts}.")


@click.command()
@data_option
@command
async def ledger(data: Path | None) -> None:
    """Print the deletion ledger as JSON lines, to be kept where no backup of the database is."""
    async with connected(data) as platform, platform_session(platform.pool, readonly=True) as session:
        entries = await deletion_ledger.entries(session)
    for entry in entries:
        click.echo(msgspec.json.encode(entry).decode())


@click.command()
@click.option("--tenant", "tenant_id", required=True, type=click.UUID, help="The id of the erased tenant.")
@click.option("--reason", required=True, help="Why; the audit log keeps it.")
@data_option
@command
async def archive(tenant_id: UUID, reason: str, data: Path | None) -> None:
    """Print the legal archive of an erased tenant as JSON."""
    if not LEAST_REASON <= len(reason) <= LONGEST_REASON:
        detail = f"needs {LEAST_REASON} to {LONGEST_REASON} characters"
        raise InvalidInput(errors=[{"field": "--reason", "detail": detail}])
    async with connected(data) as platform, platform_session(platform.pool) as session:
        content = await legal_archive.read(
            session,
            tenant_id,
            ObjectStore(platform.settings),
            secret_keys(platform.settings),
            actor=AT_THE_MACHINE,
            reason=reason,
        )
    click.echo(content)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The platform's public key, from a source that you trust; else the file's own.")
def verify(file: Path, key: str | None) -> None:
    """Check the signature of a certificate of erasure (JSON), offline."""
    try:
        certificate = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])
        statement = msgspec.json.decode(certificate["statement"])
        signature, public_key = (
            msgspec.json.decode(certificate[name], type=str) for name in ("signature", "public_key")
        )
    except (msgspec.MsgspecError, KeyError):
        click.echo("Error: this is no certificate of erasure", err=True)
        sys.exit(1)
    if not is_genuine(statement, signature, key or public_key):
        click.echo("The signature is NOT valid.", err=True)
        sys.exit(1)
    click.echo(f"The signature of {key or public_key} is valid.")


def _entries_in(file: Path) -> list[LedgerEntry]:
    try:
        return [msgspec.json.decode(line, type=LedgerEntry) for line in file.read_bytes().splitlines()]
    except msgspec.MsgspecError as error:
        raise InvalidInput(errors=[{"field": "--ledger", "detail": str(error)}]) from error
