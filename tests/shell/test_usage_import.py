import asyncio
import os
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from core.errors import NotFound, TenantNotWritable
from core.resource import Resource
from core.retention import AgedTable
from core.tenant import Tenant, TenantState
from core.usage_import import Choices, ColumnMapping, map_columns, parse_factor
from shell.cli import main
from shell.database import Pool
from shell.queries import SQL
from shell.session import tenant_session
from shell.usage_files import PIECE_ROWS, UsageFile, open_usage_file
from shell.usage_import import (
    KEPT_BAD_ROWS,
    Imported,
    ImportOvertaken,
    import_id,
    import_usage,
    shift_to,
)
from tests.installation import Installation, put_into

CLOUDWATCH = Path(__file__).parents[3] / "shared" / "data" / "aws_cloudwatch"
LAST_DAY = date(2026, 11, 22)

with_cloudwatch = pytest.mark.skipif(
    not CLOUDWATCH.is_dir(), reason="the AWS CloudWatch series are not beside this checkout"
)


@pytest.fixture
def pool(installation: Installation) -> Pool:
    return installation.pool


# --- what the tests say ---------------------------------------------------------------------------------


def cpu_mapping(file: UsageFile, *, factor: str = "1", time_zone: str = "UTC") -> ColumnMapping:
    choices = Choices(resource=Resource.CPU, factor=parse_factor(factor), time_zone=time_zone)
    return map_columns(file.columns, choices, file_stem=file.path.stem)


def series(folder: Path, rows: int, name: str = "vm-1.csv") -> UsageFile:
    """A CSV of one event a second, each with the quantity 1.5."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    lines = [f"{(start + timedelta(seconds=n)).isoformat()},1.5\n" for n in range(rows)]
    path = folder / name
    path.write_text("timestamp,value\n" + "".join(lines))
    return open_usage_file(path)


async def imported(
    pool: Pool, tenant: Tenant, file: UsageFile, mapping: ColumnMapping | None = None
) -> Imported:
    return await import_usage(pool, slug=tenant.slug, file=file, mapping=mapping or cpu_mapping(file))


async def stored(pool: Pool, tenant: Tenant) -> tuple[int, Decimal]:
    """How many events a tenant has, and the sum of their quantities."""
    async with tenant_session(pool, tenant_id=tenant.id, readonly=True) as session:
        row = await session.connection.fetchrow(
            "SELECT count(*), coalesce(sum(quantity), 0) FROM usage_events"
        )
    assert row is not None
    return row[0], row[1]


async def rows_done(pool: Pool, tenant: Tenant) -> int:
    async with tenant_session(pool, tenant_id=tenant.id, readonly=True) as session:
        done = await session.connection.fetchval("SELECT coalesce(sum(rows_done), 0) FROM usage_imports")
    return int(done)


# --- one file -------------------------------------------------------------------------------------------


async def test_each_row_of_a_csv_is_stored_as_one_event(pool: Pool, tenant: Tenant, tmp_path: Path) -> None:
    path = tmp_path / "meter-7.csv"
    path.write_text("timestamp,value\n2026-03-01 00:00:00,51.846000000000004\n2026-03-01 00:05:00,0\n")
    file = open_usage_file(path)
    mapping = cpu_mapping(file, factor="4*5/60/100", time_zone="Europe/Berlin")
    assert await imported(pool, tenant, file, mapping) == Imported(2, 0, 0, [])
    async with tenant_session(pool, tenant_id=tenant.id, readonly=True) as session:
        rows = await session.connection.fetch(
            "SELECT source, id, resource, quantity, occurred_at FROM usage_events ORDER BY id"
        )
    assert [tuple(row) for row in rows] == [
        (
            "meter-7", "2026-03-01 00:00:00", "cpu", Decimal("0.17282"),
            datetime(2026, 2, 28, 23, 0, tzinfo=UTC),
        ),
        ("meter-7", "2026-03-01 00:05:00", "cpu", Decimal(0), datetime(2026, 2, 28, 23, 5, tzinfo=UTC)),
    ]  # fmt: skip


async def test_a_parquet_is_stored_with_what_its_columns_say(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    pl.DataFrame(
        {
            "id": [1, 2, 3],
            "source": pl.Series(["vm-1", "vm-2", None], dtype=pl.Categorical),
            "resource": ["cpu", "memory", "cpu"],
            "quantity": [Decimal("0.000000000001"), Decimal(2), Decimal(4)],
            "occurred_at": [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (0, 1, 2)],
        }
    ).write_parquet(tmp_path / "usage.parquet")
    file = open_usage_file(tmp_path / "usage.parquet")
    result = await imported(pool, tenant, file, map_columns(file.columns, Choices(), file_stem="usage"))
    assert (result.accepted, result.rejected) == (2, 1)
    assert [(bad.row, bad.reason) for bad in result.bad_rows] == [(3, "source: is missing")]
    assert await stored(pool, tenant) == (2, Decimal("2.000000000001"))


async def test_bad_rows_are_listed_with_their_numbers_and_the_others_imported(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    path = tmp_path / "usage.csv"
    path.write_text(
        "timestamp,value,resource\n"
        "2026-03-01T00:00Z,1,cpu\n"
        "2026-03-01T00:05Z,-1,cpu\n"
        "2026-03-01T00:10Z,NaN,cpu\n"
        ",1,cpu\n"
        "2026-03-01T00:20Z,1,gpu\n"
        f"{soon},1,cpu\n"
        "2026-03-01T00:30Z,2,network\n"
    )
    file = open_usage_file(path)
    result = await imported(pool, tenant, file, map_columns(file.columns, Choices(), file_stem="usage"))
    assert (result.accepted, result.rejected, result.rows) == (2, 5, 7)
    assert [(bad.row, bad.reason) for bad in result.bad_rows] == [
        (3, "quantity: must not be negative"),
        (4, "quantity: must be a finite number"),
        (5, "occurred_at: is missing"),
        (6, "resource: 'gpu' is none of cpu, memory, storage, network, api_calls"),
        (7, "occurred_at: is more than 5 minutes in the future"),
    ]
    assert await stored(pool, tenant) == (2, Decimal(3))


async def test_rows_from_before_the_retention_horizon_are_bad_rows(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    horizon = datetime(2026, 3, 1, tzinfo=UTC)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await session.connection.execute(
            SQL["set_retention_mark"], AgedTable.USAGE_EVENTS, horizon, datetime.now(UTC)
        )
    path = tmp_path / "usage.csv"
    path.write_text("timestamp,value\n2026-02-28T23:59Z,1\n2026-03-01T00:00Z,2\n2026-03-01T00:05Z,-1\n")
    result = await imported(installation.pool, tenant, open_usage_file(path))
    assert (result.accepted, result.rejected) == (1, 2)
    assert [bad.row for bad in result.bad_rows] == [2, 4]
    assert "the earliest admitted" in result.bad_rows[0].reason
    assert await stored(installation.pool, tenant) == (1, Decimal(2))


async def test_a_file_of_bad_rows_keeps_the_first_hundred_and_counts_all(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("timestamp,value\n" + "2026-03-01,x\n" * (PIECE_ROWS + 10))
    result = await imported(pool, tenant, open_usage_file(path))
    assert (result.accepted, result.rejected) == (0, PIECE_ROWS + 10)
    assert [bad.row for bad in result.bad_rows] == list(range(2, 2 + KEPT_BAD_ROWS))


async def test_a_file_without_rows_adds_nothing(pool: Pool, tenant: Tenant, tmp_path: Path) -> None:
    assert await imported(pool, tenant, series(tmp_path, 0)) == Imported(0, 0, 0, [])


# --- the same file again --------------------------------------------------------------------------------


async def test_a_file_imported_twice_adds_nothing_the_second_time(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    file = series(tmp_path, 100)
    assert (await imported(pool, tenant, file)).accepted == 100
    before = await stored(pool, tenant)
    again = await imported(pool, tenant, file)
    assert again.rows == 0
    assert again.earlier is not None
    assert (again.earlier.rows_done, again.earlier.accepted) == (100, 100)
    assert await stored(pool, tenant) == before


async def test_a_file_read_in_another_way_counts_its_events_once_too(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    file = series(tmp_path, 100)
    await imported(pool, tenant, file)
    other = cpu_mapping(file, factor="2")
    assert import_id(file, other) != import_id(file, cpu_mapping(file))
    assert await imported(pool, tenant, file, other) == Imported(0, 100, 0, [])
    assert await stored(pool, tenant) == (100, Decimal(150))


async def test_a_file_with_bad_rows_is_read_again_and_lists_them_again(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("timestamp,value\n2026-03-01,1\n2026-03-02,x\n")
    file = open_usage_file(path)
    first = await imported(pool, tenant, file)
    second = await imported(pool, tenant, file)
    assert (first.accepted, first.duplicates, first.rejected) == (1, 0, 1)
    assert (second.accepted, second.duplicates, second.rejected) == (0, 1, 1)
    assert second.bad_rows == first.bad_rows
    assert second.earlier is None


async def test_an_import_that_is_cancelled_goes_on_after_its_last_batch(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    file = series(tmp_path, 3 * PIECE_ROWS)
    mapping = cpu_mapping(file)
    seen: list[int] = []

    def cancel_at_once(done: int) -> None:
        seen.append(done)
        task.cancel()

    task = asyncio.create_task(
        import_usage(pool, slug=tenant.slug, file=file, mapping=mapping, progress=cancel_at_once)
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [PIECE_ROWS]
    assert await stored(pool, tenant) == (PIECE_ROWS, PIECE_ROWS * Decimal("1.5"))

    seen.clear()
    rest = await import_usage(pool, slug=tenant.slug, file=file, mapping=mapping, progress=seen.append)
    assert seen == [2 * PIECE_ROWS, 3 * PIECE_ROWS]  # the first batch is not read again
    assert (rest.accepted, rest.duplicates) == (2 * PIECE_ROWS, 0)
    assert rest.earlier is not None
    assert rest.earlier.rows_done == PIECE_ROWS
    assert await stored(pool, tenant) == (3 * PIECE_ROWS, 3 * PIECE_ROWS * Decimal("1.5"))


async def test_an_import_cut_off_at_any_moment_has_stored_what_it_says_and_no_more(
    pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    file = series(tmp_path, 4 * PIECE_ROWS + 1)
    cuts, seconds, finished = 0, 0.002, False
    while not finished:
        try:
            async with asyncio.timeout(seconds):
                await imported(pool, tenant, file)
            finished = True
        except TimeoutError:
            cuts += 1
        assert (await stored(pool, tenant))[0] == await rows_done(pool, tenant)
        seconds *= 1.5
    assert cuts
    assert await stored(pool, tenant) == (file.rows, file.rows * Decimal("1.5"))


async def test_two_imports_of_one_file_at_once_count_once(pool: Pool, tenant: Tenant, tmp_path: Path) -> None:
    file = series(tmp_path, 2 * PIECE_ROWS)
    results = await asyncio.gather(*(imported(pool, tenant, file) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, Imported | ImportOvertaken) for result in results)
    await imported(pool, tenant, file)
    assert await stored(pool, tenant) == (file.rows, file.rows * Decimal("1.5"))
    assert await rows_done(pool, tenant) == file.rows


# --- tenants ---------------------------------------------------------------------------------------------


async def test_a_suspended_tenant_takes_no_file(
    installation: Installation, pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    file = series(tmp_path, 10)
    await put_into(installation, tenant, TenantState.SUSPENDED)
    with pytest.raises(TenantNotWritable):
        await imported(pool, tenant, file)
    assert await stored(pool, tenant) == (0, Decimal(0))


async def test_an_unknown_tenant_takes_no_file(pool: Pool, tmp_path: Path) -> None:
    file = series(tmp_path, 10)
    with pytest.raises(NotFound):
        await import_usage(pool, slug="nobody", file=file, mapping=cpu_mapping(file))


# --- the AWS CloudWatch series ----------------------------------------------------------------------------


@with_cloudwatch
@pytest.mark.parametrize(
    ("name", "resource", "factor"),
    [
        ("ec2_cpu_utilization_24ae8d", Resource.CPU, "4*5/60/100"),
        ("rds_cpu_utilization_cc0c53", Resource.CPU, "20/6000"),
        ("ec2_network_in_257a54", Resource.NETWORK, "1/1e9"),
        ("ec2_disk_write_bytes_c0d644", Resource.STORAGE, "5/1440/1e9"),
        ("elb_request_count_8c0756", Resource.API_CALLS, "1"),
    ],
)
async def test_a_cloudwatch_series_is_imported_shifted_and_only_once(
    pool: Pool, tenant: Tenant, name: str, resource: Resource, factor: str
) -> None:
    file = open_usage_file(CLOUDWATCH / f"{name}.csv")
    choices = Choices(resource=resource, factor=parse_factor(factor))
    mapping = await shift_to(file, map_columns(file.columns, choices, file_stem=file.path.stem), LAST_DAY)
    assert await imported(pool, tenant, file, mapping) == Imported(4032, 0, 0, [])
    assert (await imported(pool, tenant, file, mapping)).rows == 0

    lines = [line.split(",") for line in file.path.read_text().splitlines()[1:]]
    days = LAST_DAY - datetime.fromisoformat(lines[-1][0]).date()
    expected = {
        (name, time): (
            resource.value,
            datetime.fromisoformat(time).replace(tzinfo=UTC) + days,
            round(Fraction(value) * parse_factor(factor) * 10**12),
        )
        for time, value in lines
    }
    async with tenant_session(pool, tenant_id=tenant.id, readonly=True) as session:
        rows = await session.connection.fetch(
            "SELECT source, id, resource, occurred_at, quantity * 10::numeric ^ 12 FROM usage_events"
        )
    assert {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows} == expected


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def environment(installation: Installation, tmp_path: Path) -> dict[str, str]:
    """The settings of the shared platform, as the command finds them."""
    settings = installation.settings
    urls = {
        "PLATFORM_DATABASE_URL": settings.database_url,
        "PLATFORM_OWNER_DATABASE_URL": settings.owner_database_url,
        "PLATFORM_REDIS_URL": settings.redis_url,
    }
    return {name: url.value for name, url in urls.items() if url} | {"PLATFORM_DATA": str(tmp_path / "data")}


async def run(environment: dict[str, str], *arguments: str | os.PathLike[str]) -> Result:
    """Run `eu-platform usage import`, which has an event loop of its own."""
    command = ["usage", "import", *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, main, command, env=environment)


async def test_the_command_imports_a_file_and_says_what_it_did(
    environment: dict[str, str], pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    path = series(tmp_path, 3).path
    options = ("--tenant", tenant.slug, "--resource", "cpu", "--source", "vm-9", "--factor", "1/3")
    first = await run(environment, path, *options)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == f"vm-1.csv into {tenant.slug}: 3 rows added, 0 were there already, 0 bad.\n"
    second = await run(environment, path, *options)
    assert second.exit_code == 0
    assert (
        second.stdout
        == f"vm-1.csv was imported into {tenant.slug} before (3 rows then): nothing was added.\n"
    )
    assert await stored(pool, tenant) == (3, Decimal("1.5"))


async def test_the_command_moves_a_series_and_reads_the_columns_it_is_told(
    environment: dict[str, str], pool: Pool, tenant: Tenant, tmp_path: Path
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("nr,what,who,when,much\n1,cpu,a,2014-02-13 10:00,1\n2,memory,b,2014-02-14 23:59,2\n")
    result = await run(
        environment, path, "--tenant", tenant.slug,
        "--id", "nr", "--resource-column", "what", "--source-column", "who", "--time", "when",
        "--quantity", "much", "--shift-to", "2026-11-22", "--time-zone", "Europe/Berlin",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    async with tenant_session(pool, tenant_id=tenant.id, readonly=True) as session:
        rows = await session.connection.fetch(
            "SELECT source, id, resource, quantity, occurred_at FROM usage_events ORDER BY id"
        )
    assert [tuple(row) for row in rows] == [
        ("a", "1", "cpu", 1, datetime(2026, 11, 21, 9, 0, tzinfo=UTC)),
        ("b", "2", "memory", 2, datetime(2026, 11, 22, 22, 59, tzinfo=UTC)),
    ]


async def test_the_command_lists_bad_rows_and_ends_with_its_own_exit_code(
    environment: dict[str, str], tenant: Tenant, tmp_path: Path
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("timestamp,value\n2026-03-01,1\n2026-03-02,[red]\x1b[31mx\n" + "2026-03-03,\n" * 110)
    result = await run(environment, path, "--tenant", tenant.slug, "--resource", "cpu")
    assert result.exit_code == 3
    assert re.search(r"│\s+3 │ quantity: '\[red\]\\x1b\[31mx' is not a number", result.stdout)
    assert re.search(r"│\s+4 │ quantity: is missing", result.stdout)
    assert "1 rows added, 0 were there already, 111 bad" in result.stdout
    assert result.stdout.endswith("… and 11 more.\n")


@pytest.mark.parametrize(
    ("content", "options", "exit_code", "sentence"),
    [
        (b"", (), 1, "it is empty."),
        (b"\x00\x01", (), 1, "it is neither Parquet nor text in UTF-8."),
        (b"a,value\n1,2\n", (), 1, "the time; its columns are 'a', 'value'. Name the column with --time."),
        (b"timestamp,b\n1,2\n", (), 1, "Name the column with --quantity."),
        (b"a,b\n1,2\n", ("--time", "c"), 1, "The file has no column 'c'; its columns are 'a', 'b'."),
        (b"timestamp,value\n", ("--resource-column", "b"), 2, "exclude each other"),
        (b"timestamp,value\n", ("--factor", "0"), 2, "'0' is not made of positive numbers"),
        (b"timestamp,value\n", ("--time-zone", "../UTC"), 2, "is no time zone of the IANA database"),
        (b"timestamp,value\n", ("--shift-to", "soon"), 2, "'soon' does not match"),
    ],
)
async def test_the_command_says_in_a_sentence_what_is_wrong(
    environment: dict[str, str],
    tmp_path: Path,
    *,
    content: bytes,
    options: tuple[str, ...],
    exit_code: int,
    sentence: str,
) -> None:
    path = tmp_path / "usage.csv"
    path.write_bytes(content)
    result = await run(environment, path, "--tenant", "acme", "--resource", "cpu", *options)
    assert result.exit_code == exit_code
    assert sentence in result.stderr
    assert "Traceback" not in result.output


async def test_the_command_says_that_no_resource_was_given(
    environment: dict[str, str], tmp_path: Path
) -> None:
    result = await run(environment, series(tmp_path, 1).path, "--tenant", "acme")
    assert result.exit_code == 1
    assert "Say with --resource what all rows are" in result.stderr


async def test_the_command_says_that_there_is_no_such_tenant(
    environment: dict[str, str], tmp_path: Path
) -> None:
    result = await run(environment, series(tmp_path, 1).path, "--tenant", "nobody", "--resource", "cpu")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no such tenant.\n")
