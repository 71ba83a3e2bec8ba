"""BEGIN and COMMIT travel with other statements: on every event loop, encrypted or not, whatever fails."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest
import uvloop
from asyncpg.exceptions import (
    DivisionByZeroError,
    InsufficientPrivilegeError,
    QueryCanceledError,
    ReadOnlySQLTransactionError,
    UniqueViolationError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.errors import NotFound, TenantGone
from core.tenant import Tenant, TenantState
from shell.database import Connection, Pool, itself, open_pool
from shell.pipelining import PipeliningTransport
from shell.session import (
    TenantSession,
    platform_session,
    reading,
    reading_session,
    recording_session,
    tenant_session,
)
from tests.events import store, usage
from tests.installation import Installation, administrator, found, put_into, rows
from tests.waiting import until

STATE = "SELECT current_user::text, current_setting('search_path') AS path, $1::int AS given"
INSERT = "INSERT INTO invoice_numbers VALUES ($1, 1) RETURNING year"
CLEAN = {"current_user": "platform_app", "path": '"$user", public', "given": 1}
SIMPLE_QUERY, SYNC, FLUSH = b"Q", b"S\x00\x00\x00\x04", b"H\x00\x00\x00\x04"


@asynccontextmanager
async def single(installation: Installation, **options: Any) -> AsyncIterator[Pool]:
    """A pool of one connection, so that nothing that one transaction leaves behind escapes the next."""
    assert installation.settings.database_url is not None
    async with await open_pool(
        installation.settings.database_url.value, size=1, name="pipelining", **options
    ) as pool:
        yield pool


class Recorder:
    """A transport that keeps what is written to another."""

    def __init__(self, real: asyncio.Transport) -> None:
        self._real = real
        self.written: list[bytes] = []

    def write(self, data: bytes | memoryview) -> None:
        self.written.append(bytes(data))
        self._real.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def round_trips(self) -> int:
        """How often the server was asked to answer."""
        return sum(data.startswith(SIMPLE_QUERY) or data.endswith((SYNC, FLUSH)) for data in self.written)


@asynccontextmanager
async def recorded(pool: Pool) -> AsyncIterator[Recorder]:
    """What the pool's only connection writes."""
    async with pool.acquire() as connection:
        transport = itself(connection)._transport  # noqa: SLF001 -- what goes over the wire is what is tested
    recorder = Recorder(transport.real)
    transport.real = recorder  # type: ignore[assignment]  # all that a PipeliningTransport needs of one
    transport.take_nothing()
    yield recorder


async def state_of(pool: Pool) -> dict[str, Any]:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(STATE, 1)
    return dict(row or {})


async def years(installation: Installation, tenant: Tenant) -> list[int]:
    found = await rows(installation, f"SELECT year FROM {tenant.schema}.invoice_numbers ORDER BY year")
    return [int(str(row["year"])) for row in found]


# --- what it is for ----------------------------------------------------------------------------------


async def test_a_transaction_of_one_statement_takes_two_round_trips(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        for round_trips in (4, 2):  # at first, two statements are prepared
            async with recorded(pool) as recorder, reading_session(pool, tenant.id) as session:
                answer = await session.connection.fetchrow(STATE, 7)
                assert dict(answer or {}) == {
                    "current_user": tenant.schema,
                    "path": f"{tenant.schema}, pg_temp",
                    "given": 7,
                }
            assert recorder.round_trips == round_trips
        assert await state_of(pool) == CLEAN


async def test_a_transaction_that_says_which_is_its_last_statement_takes_a_round_trip_each(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        for year, round_trips in ((2001, 6), (2002, 3)):
            async with recorded(pool) as recorder, tenant_session(pool, tenant_id=tenant.id) as session:
                await session.connection.fetchval(STATE, 1)
                session.commit_with_next()
                assert await session.connection.fetchval(INSERT, year) == year
                assert year in await years(installation, tenant), "committed before the session ends"
            assert recorder.round_trips == round_trips
        assert await state_of(pool) == CLEAN


async def test_a_transaction_that_does_not_say_so_commits_at_its_end(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        async with tenant_session(pool, tenant_id=tenant.id) as session:
            await session.connection.execute(INSERT, 2001)
            assert await years(installation, tenant) == []
        assert await years(installation, tenant) == [2001]
        async with tenant_session(pool, tenant_id=tenant.id) as session:
            session.commit_with_next()  # and no statement comes
        assert await state_of(pool) == CLEAN


async def test_a_reading_session_only_reads(installation: Installation, tenant: Tenant) -> None:
    async with single(installation) as pool:
        with pytest.raises(ReadOnlySQLTransactionError):
            async with reading_session(pool, tenant.id) as session:
                await session.connection.fetchval(INSERT, 2001)
        async with recording_session(pool, tenant_id=tenant.id) as session:
            assert await session.connection.fetchval(INSERT, 2001) == 2001


async def test_a_new_connection_waits_in_no_transaction(installation: Installation) -> None:
    """Or PostgreSQL would end its first statement for what it has waited before."""
    async with single(installation), administrator(installation.admin_url) as admin:
        query = "SELECT state, xact_start FROM pg_stat_activity WHERE application_name = 'pipelining'"
        assert [dict(row) for row in await admin.fetch(query)] == [{"state": "idle", "xact_start": None}]


# --- a tenant that is known ----------------------------------------------------------------------------


async def state_seen(session: TenantSession) -> dict[str, Any]:
    """The tenant as the session knows it, and as whom its one statement runs."""
    row = await session.connection.fetchrow(STATE, 1)
    return {"name": session.tenant.name, **dict(row or {})}


def inside(tenant: Tenant, name: str | None = None) -> dict[str, Any]:
    return {
        "name": name or tenant.name,
        "current_user": tenant.schema,
        "path": f"{tenant.schema}, pg_temp",
        "given": 1,
    }


async def test_reading_takes_one_round_trip_where_the_tenant_is_known(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        for round_trips in (4, 2, 1, 1):  # statements are prepared, then how a known tenant is entered
            async with recorded(pool) as recorder:
                assert await reading(pool, tenant.id, state_seen) == inside(tenant)
            assert recorder.round_trips == round_trips
        assert await state_of(pool) == CLEAN


async def test_a_statement_is_prepared_as_a_known_tenant(installation: Installation, tenant: Tenant) -> None:
    """Its tables are not found by anybody else."""

    async def events(session: TenantSession) -> int:
        return int(await session.connection.fetchval("SELECT count(*) FROM usage_events WHERE id <> $1", "x"))

    async with single(installation) as pool:
        await reading(pool, tenant.id, state_seen)
        assert await reading(pool, tenant.id, events) == 0
        await store(installation, tenant, usage("one"))
        assert await reading(pool, tenant.id, events) == 1


async def test_each_of_two_known_tenants_reads_its_own(installation: Installation, tenant: Tenant) -> None:
    other = await found(installation)
    async with single(installation) as pool:
        for one in (tenant, other) * 3:
            assert await reading(pool, one.id, state_seen) == inside(one)


async def test_what_has_changed_of_a_known_tenant_is_seen_at_once(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        for name in ("Before", "After", "Later"):
            async with platform_session(installation.pool) as session:
                await session.connection.execute(
                    "UPDATE tenants SET name = $2 WHERE id = $1", tenant.id, name
                )
            assert await reading(pool, tenant.id, state_seen) == inside(tenant, name)
        await put_into(installation, tenant, TenantState.DEPROVISIONING)
        with pytest.raises(TenantGone):
            await reading(pool, tenant.id, state_seen)
        assert await state_of(pool) == CLEAN


async def test_no_statement_runs_where_a_known_tenant_is_another_by_now(
    installation: Installation, tenant: Tenant
) -> None:
    """Not even one that would find its tables in the shared schema."""
    ran: list[str] = []

    async def counting(session: TenantSession) -> str:
        user = await session.connection.fetchval("SELECT current_user::text || $1", "")
        ran.append(user)
        return str(user)

    async with single(installation) as pool:
        await reading(pool, tenant.id, counting)
        await put_into(installation, tenant, TenantState.SUSPENDED)
        assert await reading(pool, tenant.id, counting) == tenant.schema
        assert ran == [tenant.schema, tenant.schema]


async def test_an_unknown_tenant_is_not_found_by_reading(installation: Installation) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await reading(installation.pool, uuid4(), state_seen)


async def test_what_is_said_of_what_was_read_takes_no_further_round_trip(
    installation: Installation, tenant: Tenant
) -> None:
    async def missing(session: TenantSession) -> None:
        await state_seen(session)
        raise NotFound(what="thing")

    async with single(installation) as pool:
        for round_trips in (4, 2, 1):
            async with recorded(pool) as recorder:
                with pytest.raises(NotFound):
                    await reading(pool, tenant.id, missing)
            assert recorder.round_trips == round_trips
        assert await state_of(pool) == CLEAN


async def test_reading_as_a_known_tenant_fails_as_any_other(
    installation: Installation, tenant: Tenant
) -> None:
    async def divide(session: TenantSession) -> None:
        await session.connection.fetchval("SELECT 1 / $1::int", 0)

    async def write(session: TenantSession) -> None:
        await session.connection.fetchval(INSERT, 2001)

    async def twice(session: TenantSession) -> None:
        await state_seen(session)
        await state_seen(session)

    async def nothing(_: TenantSession) -> None:
        return

    async def swallow(session: TenantSession) -> None:
        with pytest.raises(DivisionByZeroError):
            await divide(session)

    async with single(installation) as pool:
        await reading(pool, tenant.id, state_seen)
        for read, error in (
            (nothing, RuntimeError),
            (swallow, RuntimeError),
            (divide, DivisionByZeroError),
            (write, ReadOnlySQLTransactionError),
            (twice, RuntimeError),
        ):
            with pytest.raises(error):
                await reading(pool, tenant.id, read)
            assert await state_of(pool) == CLEAN
        assert await years(installation, tenant) == []


# --- what cannot take others along -------------------------------------------------------------------


async def test_a_statement_after_the_last_is_refused(installation: Installation, tenant: Tenant) -> None:
    async with single(installation) as pool:
        for again in (STATE, "SELECT 'never prepared before', $1::int", "SELECT 1"):
            arguments = [1] if "$1" in again else []
            with pytest.raises(RuntimeError, match="has ended"):
                async with reading_session(pool, tenant.id) as session:
                    await session.connection.fetch(STATE, 1)
                    await session.connection.execute(again, *arguments)
            assert await state_of(pool) == CLEAN


async def test_what_is_no_single_statement_with_parameters_takes_nothing_along(
    installation: Installation, tenant: Tenant
) -> None:
    async def simply(connection: Connection) -> None:
        await connection.execute("INSERT INTO invoice_numbers VALUES (2001, 1)")

    async def many(connection: Connection) -> None:
        await connection.executemany("INSERT INTO invoice_numbers VALUES ($1, 1)", [(2001,), (2002,)])

    async def copied(connection: Connection) -> None:
        await connection.copy_records_to_table("invoice_numbers", records=[(2001, 1)])

    async with single(installation) as pool:
        for write in (simply, many, copied):
            with pytest.raises(RuntimeError, match="takes others along"):
                async with tenant_session(pool, tenant_id=tenant.id) as session:
                    session.commit_with_next()
                    await write(session.connection)
            assert await years(installation, tenant) == []
            assert await state_of(pool) == CLEAN


async def test_a_driver_that_makes_room_for_a_statement_first_is_no_hindrance(
    installation: Installation, tenant: Tenant
) -> None:
    """It closes another that it has prepared: that must not take BEGIN or COMMIT along."""
    async with single(installation) as pool:
        for number in range(250):  # more than it keeps
            async with reading_session(pool, tenant.id) as session:
                assert await session.connection.fetchval(f"SELECT $1::int + {number}", 1) == 1 + number
        assert await state_of(pool) == CLEAN


# --- what goes wrong ---------------------------------------------------------------------------------


async def test_where_the_last_statement_fails_nothing_is_committed(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        with pytest.raises(DivisionByZeroError):
            async with tenant_session(pool, tenant_id=tenant.id) as session:
                await session.connection.execute(INSERT, 2001)
                session.commit_with_next()
                await session.connection.fetchval("SELECT 1 / $1::int", 0)
        assert await years(installation, tenant) == []
        assert await state_of(pool) == CLEAN


async def test_where_the_failure_of_the_last_statement_is_swallowed_the_session_fails(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool:
        with pytest.raises(RuntimeError, match="nothing was committed"):
            async with tenant_session(pool, tenant_id=tenant.id) as session:
                await session.connection.execute(INSERT, 2001)
                session.commit_with_next()
                with pytest.raises(DivisionByZeroError):
                    await session.connection.fetchval("SELECT 1 / $1::int", 0)
        assert await years(installation, tenant) == []
        assert await state_of(pool) == CLEAN


async def test_where_the_commit_fails_the_last_statement_does(
    installation: Installation, tenant: Tenant
) -> None:
    deferred = f"""
        ALTER TABLE {tenant.schema}.invoice_numbers
        ADD CONSTRAINT once UNIQUE (last) DEFERRABLE INITIALLY DEFERRED
    """
    async with administrator(installation.admin_url) as admin:
        await admin.execute(deferred)
    async with single(installation) as pool:
        with pytest.raises(UniqueViolationError):
            async with tenant_session(pool, tenant_id=tenant.id) as session:
                await session.connection.execute(INSERT, 2001)
                session.commit_with_next()
                await session.connection.fetchval(INSERT, 2002)
        assert await years(installation, tenant) == []
        assert await state_of(pool) == CLEAN


async def test_a_tenant_that_cannot_be_entered_leaves_no_transaction(installation: Installation) -> None:
    async with single(installation) as pool:
        async with administrator(installation.admin_url) as admin:
            await admin.execute("REVOKE SELECT ON tenants FROM platform_app")
        try:
            with pytest.raises(InsufficientPrivilegeError):
                async with reading_session(pool, uuid4()):
                    pytest.fail("entered")
        finally:
            async with administrator(installation.admin_url) as admin:
                await admin.execute("GRANT SELECT ON tenants TO platform_app")
        assert await state_of(pool) == CLEAN


async def test_a_last_statement_that_is_cancelled_commits_nothing(
    installation: Installation, tenant: Tenant
) -> None:
    slow = "INSERT INTO invoice_numbers SELECT $1, 1 FROM pg_sleep(60)"
    async with single(installation, statement_timeout_seconds=1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), tenant_session(pool, tenant_id=tenant.id) as session:
                session.commit_with_next()
                await session.connection.execute(slow, 2001)
        with pytest.raises(QueryCanceledError):
            async with tenant_session(pool, tenant_id=tenant.id) as session:
                session.commit_with_next()
                await session.connection.execute(slow, 2001)
        assert await years(installation, tenant) == []
        assert await state_of(pool) == CLEAN


async def test_a_connection_that_is_lost_in_the_last_statement_is_replaced(
    installation: Installation, tenant: Tenant
) -> None:
    async with single(installation) as pool, administrator(installation.admin_url) as admin:

        async def is_waiting() -> bool:
            query = "SELECT wait_event FROM pg_stat_activity WHERE application_name = 'pipelining'"
            return bool(await admin.fetchval(query) == "PgSleep")

        async def lose() -> None:
            async with reading_session(pool, tenant.id) as session:
                await session.connection.fetchval("SELECT pg_sleep($1)", 60)

        losing = asyncio.create_task(lose())
        await until(is_waiting)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pipelining'"
        await admin.execute(kill)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await losing
        assert await state_of(pool) == CLEAN


# --- the event loop of the processes, and encrypted connections ---------------------------------------


async def works(pool: Pool, tenant: Tenant) -> None:
    """Both ways, one after the other and several at once."""

    async def once(given: int) -> None:
        async with reading_session(pool, tenant.id) as session:
            row = await session.connection.fetchrow(STATE, given)
            assert row is not None
            assert (row["current_user"], row["given"]) == (tenant.schema, given)

    await once(1)
    await asyncio.gather(*(once(given) for given in range(50)))
    seen = await asyncio.gather(*(reading(pool, tenant.id, state_seen) for _ in range(50)))
    assert seen == [inside(tenant)] * 50
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), reading_session(pool, tenant.id) as session:
            await session.connection.fetchval("SELECT pg_sleep($1)", 60)
    with pytest.raises(DivisionByZeroError):
        async with reading_session(pool, tenant.id) as session:
            await session.connection.fetchval("SELECT 1 / $1::int", 0)
    await once(2)
    async with pool.acquire() as connection:
        assert isinstance(itself(connection)._transport, PipeliningTransport)  # noqa: SLF001 -- what is tested


def test_it_works_on_the_event_loop_of_the_processes(installation: Installation, tenant: Tenant) -> None:
    async def scenario() -> None:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        assert installation.settings.database_url is not None
        async with await open_pool(installation.settings.database_url.value, size=3, name="uvloop") as pool:
            await works(pool, tenant)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_works_between_machines(
    installation: Installation,
    tenant: Tenant,
    tmp_path: Path,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    mode: str,
) -> None:
    """By TCP, and encrypted: the embedded server knows neither, but what stands in front of it here does."""

    async def scenario() -> None:
        async with (
            encrypting(installation, tmp_path) as url,
            await open_pool(url, size=3, name="tls") as pool,
        ):
            await works(pool, tenant)
            async with pool.acquire() as connection:
                cipher = itself(connection)._transport.get_extra_info("cipher")  # noqa: SLF001 -- what is tested
                assert cipher is not None

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


@asynccontextmanager
async def encrypting(installation: Installation, folder: Path) -> AsyncIterator[str]:
    """A server that answers an SSLRequest and passes on what comes after it; the URL to reach it by."""
    assert installation.settings.database_url is not None
    url = urlsplit(installation.settings.database_url.value)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))

    async def behind() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder_of_socket = parse_qs(url.query).get("host")
        if folder_of_socket:
            return await asyncio.open_unix_connection(f"{folder_of_socket[0]}/.s.PGSQL.5432")
        return await asyncio.open_connection(url.hostname, url.port or 5432)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(8)
        server_reader, server_writer = await behind()
        if request.endswith((80877103).to_bytes(4, "big")):
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
        else:
            server_writer.write(request)
        await asyncio.gather(passed(reader, server_writer), passed(server_reader, writer))

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"postgresql://{url.username}:{url.password}@{host}:{port}{url.path}"


def certificate(folder: Path) -> Path:
    """A key and a certificate that it signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + signed.public_bytes(pem))
    return file
