"""`eu-platform usage`: usage that comes in files."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from core.period import is_time_zone
from core.resource import Resource
from core.usage_import import (
    QUANTITY_COLUMNS,
    TIME_COLUMNS,
    BadRow,
    Choices,
    Column,
    ColumnMapping,
    ColumnNotFound,
    map_columns,
    parse_factor,
)
from shell import usage_import
from shell.commands.connect import command, connected, data_option
from shell.usage_files import UsageFile, open_usage_file
from shell.usage_import import Imported

SOME_ROWS_BAD: Final = 3
"""The exit code when the good rows were imported and others were not; 1 is an error, 2 a wrong option."""

WIDE: Final = 140
"""Columns of a table that goes into a file or a pipe."""

_CONSOLE: Final = Console(stderr=True)

_SAY_WITH: Final = {
    "resource": "Say with --resource what all rows are, or name the column with --resource-column.",
    "quantity": "Name the column with --quantity.",
    "time": "Name the column with --time.",
}


class Given(TypedDict):
    """The options that tell what the columns of a file mean."""

    resource: str | None
    resource_column: str | None
    source: str | None
    source_column: str | None
    id_column: str | None
    time_column: str | None
    quantity_column: str | None
    factor: Fraction
    time_zone: str


def _factor(context: click.Context, parameter: click.Parameter, value: str) -> Fraction:
    del context, parameter
    try:
        return parse_factor(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _time_zone(context: click.Context, parameter: click.Parameter, value: str) -> str:
    del context, parameter
    if not is_time_zone(value):
        raise click.BadParameter(f"{value!r} is no time zone of the IANA database, such as Europe/Berlin.")
    return value


@click.group()
def usage() -> None:
    """Usage that comes in files."""


@usage.command("import")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--tenant", "slug", required=True, help="Whose usage it is: the tenant's slug.")
@click.option(
    "--resource",
    type=click.Choice([resource.value for resource in Resource]),
    help="What was used, when it is one for all rows.",
)
@click.option("--resource-column", metavar="COLUMN", help="Where each row says what was used.")
@click.option(
    "--source", metavar="NAME", help="What measured it; the file's name without its ending by default."
)
@click.option("--source-column", metavar="COLUMN", help="Where each row says what measured it.")
@click.option("--id", "id_column", metavar="COLUMN", help="The id of a row; its time by default.")
@click.option(
    "--time",
    "time_column",
    metavar="COLUMN",
    help=f"When it was used; {' or '.join(TIME_COLUMNS)} by default.",
)
@click.option(
    "--quantity",
    "quantity_column",
    metavar="COLUMN",
    help=f"How much; {' or '.join(QUANTITY_COLUMNS)} by default.",
)
@click.option(
    "--factor",
    metavar="FACTOR",
    default="1",
    callback=_factor,
    show_default=True,
    help="What each quantity is multiplied by, exactly, as in 20/6000 or 4*5/60/100.",
)
@click.option(
    "--time-zone",
    metavar="ZONE",
    default="UTC",
    callback=_time_zone,
    show_default=True,
    help="Where times without an offset are local.",
)
@click.option(
    "--shift-to",
    "target",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Move the series by whole days, so that its last day is this one (YYYY-MM-DD).",
)
@data_option
@command
async def import_usage(
    path: Path, slug: str, target: datetime | None, data: Path | None, **given: Unpack[Given]
) -> None:
    """Import usage from a CSV or Parquet file.

    Each row becomes one event; columns named like an event's fields (id, source, resource, quantity,
    occurred_at) are found without being named. An interrupted import continues where it was when the command
    is given again, and no row is ever counted twice.

    Exit code 0: every row was good. 3: some were bad, and are listed; the others were imported. 1: an error.
    """
    choices = _choices(given)
    with _CONSOLE.status(f"Looking through {path.name}"):
        file = await asyncio.to_thread(open_usage_file, path)
        mapping = _mapping(file, choices)
        if target is not None:
            mapping = await usage_import.shift_to(file, mapping, target.date())
    async with connected(data) as platform:
        with _bar(file) as progress:
            imported = await usage_import.import_usage(
                platform.pool, slug=slug, file=file, mapping=mapping, progress=progress
            )
    _report(imported, file=file, slug=slug, has_ids=mapping.id is not None)
    if imported.rejected or (imported.earlier and imported.earlier.rejected):
        raise SystemExit(SOME_ROWS_BAD)


def _choices(given: Given) -> Choices:
    if given["resource"] and given["resource_column"]:
        raise click.UsageError("--resource and --resource-column exclude each other.")
    if given["source"] and given["source_column"]:
        raise click.UsageError("--source and --source-column exclude each other.")
    resource = given["resource"]
    return Choices(
        resource=Resource(resource) if resource else _column(given["resource_column"]),
        source=given["source"] or _column(given["source_column"]),
        id=_column(given["id_column"]),
        occurred_at=_column(given["time_column"]),
        quantity=_column(given["quantity_column"]),
        factor=given["factor"],
        time_zone=given["time_zone"],
    )


def _column(name: str | None) -> Column | None:
    return Column(name) if name else None


def _mapping(file: UsageFile, choices: Choices) -> ColumnMapping:
    try:
        return map_columns(file.columns, choices, file_stem=file.path.stem)
    except ColumnNotFound as error:
        raise click.ClickException(f"{error} {_SAY_WITH[error.data['what']]}") from error


@contextmanager
def _bar(file: UsageFile) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; an interruption is told with where it happened."""
    columns = (TextColumn(file.path.name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task("rows", total=file.rows)
        try:
            yield lambda rows_done: bar.update(task, completed=rows_done)
        except asyncio.CancelledError:
            done = f"{int(bar.tasks[task].completed):,}"
            click.echo(f"Interrupted after {done} rows; the same command continues from there.", err=True)
            raise


def _report(imported: Imported, *, file: UsageFile, slug: str, has_ids: bool) -> None:
    name, earlier = file.path.name, imported.earlier
    if earlier is not None and not imported.rows:
        rows = f"{earlier.accepted + earlier.duplicates:,} rows"
        click.echo(f"{name} was imported into {slug} before ({rows} then): nothing was added.")
        return
    if earlier is not None:
        click.echo(f"{name}: continued after {earlier.rows_done:,} rows, {earlier.rejected:,} of them bad.")
    click.echo(
        f"{name} into {slug}: {imported.accepted:,} rows added, {imported.duplicates:,} were there already, "
        f"{imported.rejected:,} bad."
    )
    if imported.duplicates and not has_ids:
        click.echo(
            "Rows of one source and one time count as one; where they are several events, give --id COLUMN."
        )
    if imported.rejected:
        _list_bad_rows(imported.bad_rows, count=imported.rejected)


def _list_bad_rows(bad_rows: list[BadRow], *, count: int) -> None:
    table = Table(title="Bad rows", title_justify="left")
    table.add_column("row", justify="right")
    table.add_column("why")
    for bad in bad_rows:
        table.add_row(str(bad.row), Text(bad.reason))  # as it is: a file's text is no markup
    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table)
    if count > len(bad_rows):
        click.echo(f"… and {count - len(bad_rows):,} more.")
