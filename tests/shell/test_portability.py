import hashlib
import json
from pathlib import Path

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from xmlschema import XMLSchema

from core.portability import Format, SchemaUndescribed
from core.tenant import Tenant
from shell.portability import sources_of, write_package
from shell.session import owner_session, tenant_session
from tests.installation import Installation, found, rows
from tests.odd_tenant import HUGE, NOW, ODD_JSON, ODD_TEXTS, fill
from tests.packages import files_in, packaged, rows_of


@pytest_asyncio.fixture(scope="module")
async def packages(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> dict[Format, dict[str, bytes]]:
    """The files of an odd tenant's packages."""
    tenant, folder = await found(installation), tmp_path_factory.mktemp("packages")
    await fill(installation, tenant)
    return {
        format_: files_in(await packaged(installation, tenant, format_, folder / f"{format_}.tar.gz"))
        for format_ in Format
    }


@pytest.mark.parametrize("format_", Format)
def test_odd_texts_stand_in_a_package_as_they_are(
    packages: dict[Format, dict[str, bytes]], format_: Format
) -> None:
    anomalies = rows_of(packages[format_][f"data/anomalies.{format_.suffix}"], format_)
    notes = [row["note"] for row in anomalies]
    nothing = "" if format_ is Format.CSV else None  # Python's reader of CSV sees no quotes
    assert notes == [nothing, *ODD_TEXTS]
    events = rows_of(packages[format_][f"data/usage_events.{format_.suffix}"], format_)
    assert [row["source"] for row in events] == [*ODD_TEXTS, "json"]
    assert [row["quantity"] for row in events] == [HUGE] * len(ODD_TEXTS) + ["0"]
    assert {row["occurred_at"] for row in events} == {"2026-11-25T01:02:03.456789Z"}


@pytest.mark.parametrize("format_", Format)
def test_json_values_keep_every_digit(packages: dict[Format, dict[str, bytes]], format_: Format) -> None:
    last = packages[format_][f"data/usage_events.{format_.suffix}"]
    assert b"1.10000000000000000000000001" in last
    *_, event = rows_of(last, format_)
    kept = event["attributes"] if format_ is Format.JSON else json.loads(str(event["attributes"]))
    assert kept == json.loads(ODD_JSON)


def test_csv_tells_nothing_from_an_empty_text(packages: dict[Format, dict[str, bytes]]) -> None:
    lines = packages[Format.CSV]["data/anomalies.csv"].split(b"\r\n")
    assert lines[1].endswith(b",")
    assert lines[2].endswith(b',,,""')


@pytest.mark.parametrize("format_", Format)
def test_no_secret_and_no_bookkeeping_leaves(
    packages: dict[Format, dict[str, bytes]], format_: Format
) -> None:
    files = packages[format_]
    tables = {name.removeprefix("data/").partition(".")[0] for name in files if name.startswith("data/")}
    assert not tables & {"refresh_tokens", "recovery_codes", "password_resets", "usage_batches"}
    assert {"users", "sessions", "invitations", "usage_events", "invoices", "invoice_lines"} <= tables
    assert b"secret-" not in b"".join(files.values())
    assert set(rows_of(files[f"data/users.{format_.suffix}"], format_)[0]) == {
        "id", "email", "full_name", "role", "created_at", "state",
        "restricted_at", "restricted_from", "restriction_reason", "deactivated_at",
    }  # fmt: skip


def test_every_line_fits_the_schema_of_its_table(packages: dict[Format, dict[str, bytes]]) -> None:
    files = packages[Format.JSON]
    for name in [name for name in files if name.startswith("data/")]:
        table = name.removeprefix("data/").removesuffix(".jsonl")
        validator = Draft202012Validator(json.loads(files[f"schema/{table}.json"]))
        for row in rows_of(files[name], Format.JSON):
            validator.validate(row)


def test_every_xml_file_fits_the_schema_of_its_table(packages: dict[Format, dict[str, bytes]]) -> None:
    files = packages[Format.XML]
    for name in [name for name in files if name.startswith("data/")]:
        table = name.removeprefix("data/").removesuffix(".xml")
        XMLSchema(files[f"schema/{table}.xsd"].decode()).validate(files[name].decode())


@pytest.mark.parametrize("format_", Format)
def test_a_package_is_a_bag(packages: dict[Format, dict[str, bytes]], format_: Format) -> None:
    """RFC 8493: every payload file in the manifest, every tag file but one in the manifest of tag files."""
    files = packages[format_]
    for manifest, is_payload in (("manifest-sha256.txt", True), ("tagmanifest-sha256.txt", False)):
        listed = {line[66:]: line[:64] for line in files[manifest].decode().splitlines()}
        expected = {name for name in files if name.startswith("data/") is is_payload}
        assert listed.keys() == expected - {"tagmanifest-sha256.txt"}
        for name, digest in listed.items():
            assert hashlib.sha256(files[name]).hexdigest() == digest
    assert files["bagit.txt"] == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    payload = [content for name, content in files.items() if name.startswith("data/")]
    assert f"Payload-Oxum: {sum(map(len, payload))}.{len(payload)}\n".encode() in files["bag-info.txt"]


@pytest.mark.parametrize("format_", Format)
def test_the_page_shows_texts_as_texts_and_loads_nothing(
    packages: dict[Format, dict[str, bytes]], format_: Format
) -> None:
    page = packages[format_]["index.html"].decode()
    assert "<row>&amp;" not in page
    assert "&lt;row&gt;&amp;amp;" in page
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


async def test_all_tables_are_of_one_moment(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    """A writer goes on during the export: no row of it is there, in no table."""
    await fill(installation, tenant)
    insert = f"INSERT INTO {tenant.schema}.invoice_numbers VALUES ($1, 1)"
    years = iter(range(2000, 2100))

    async def interfere(_: float) -> None:
        async with owner_session(installation.owner_pool) as owner:
            await owner.connection.execute(insert, next(years))

    with (tmp_path / "p").open("w+b") as file:
        async with tenant_session(installation.pool, tenant_id=tenant.id, snapshot=True) as session:
            await write_package(session, file, Format.JSON, NOW, told=interfere)
    assert files_in(tmp_path / "p")["data/invoice_numbers.jsonl"] == b""
    assert await rows(installation, f"SELECT FROM {tenant.schema}.invoice_numbers")


@pytest.mark.parametrize(
    "change",
    ["CREATE TABLE {schema}.new (id integer PRIMARY KEY)", "ALTER TABLE {schema}.users ADD COLUMN new text"],
)
async def test_what_nobody_has_classified_stops_an_export(
    installation: Installation, tenant: Tenant, change: str
) -> None:
    async with owner_session(installation.owner_pool) as owner:
        await owner.connection.execute(change.format(schema=tenant.schema))
    async with tenant_session(installation.pool, tenant_id=tenant.id, snapshot=True) as session:
        with pytest.raises(SchemaUndescribed):
            await sources_of(session)


async def test_an_export_that_fails_leaves_its_session_usable(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    class Full(OSError):
        pass

    async def fail(_: float) -> None:
        raise Full

    for _ in range(2):
        with pytest.raises(Full), (tmp_path / "p").open("w+b") as file:
            async with tenant_session(installation.pool, tenant_id=tenant.id, snapshot=True) as session:
                await write_package(session, file, Format.JSON, NOW, told=fail)
    await packaged(installation, tenant, Format.JSON, tmp_path / "q")
