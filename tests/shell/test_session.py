"""Sessions: what the database refuses in them, and that nothing of them outlives them."""

import asyncio
import io
import random
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from asyncpg.exceptions import (
    DivisionByZeroError,
    InsufficientPrivilegeError,
    ReadOnlySQLTransactionError,
)

from core.audit import SYSTEM, AuditEntry
from core.errors import NotFound, PlatformError, TenantGone, TenantNotReady
from core.tenant import Tenant, TenantState
from shell.audit import append_entry, append_platform_entry
from shell.database import Connection, ForgetfulConnection, Pool, itself, open_pool
from shell.pipelining import connect
from shell.queries import SQL, SQL_FOLDER
from shell.session import owner_session, platform_session, tenant_session
from shell.tables import UsageEvents
from tests.events import store, usage
from tests.installation import Installation, administrator, found, new_slug, put_into, register, rows
from tests.waiting import until

CREATED = re.compile(r"^CREATE TABLE (?:public\.)?(\w+) \(\n +(\w+)", re.MULTILINE)


def tables_of(folder: str) -> dict[str, str]:
    """The tables of a schema, each with one of its columns."""
    texts = [file.read_text() for file in sorted((SQL_FOLDER / folder).glob("*.sql"))]
    return dict(CREATED.findall("\n".join(texts))) | {"schema_migrations": "version"}


TENANT_TABLES = tables_of("tenant")
PUBLIC_TABLES = tables_of("public")

SELECT = "SELECT * FROM {table}"
COUNT = "SELECT count(*) FROM {table}"
INSERT = "INSERT INTO {table} DEFAULT VALUES"
UPDATE = "UPDATE {table} SET {column} = {column}"
DELETE = "DELETE FROM {table}"
TRUNCATE = "TRUNCATE {table}"
LOCK = "LOCK TABLE {table}"
COPY_OUT = "COPY {table} TO STDOUT"
COPY_IN = "COPY {table} FROM STDIN"
STATEMENTS = [SELECT, COUNT, INSERT, UPDATE, DELETE, TRUNCATE, LOCK, COPY_OUT, COPY_IN]


class Pair:
    """Two tenants that have one usage event each."""

    def __init__(self, mine: Tenant, theirs: Tenant) -> None:
        self.mine = mine
        self.theirs = theirs


@pytest_asyncio.fixture(scope="module")
async def pair(installation: Installation) -> Pair:
    both = Pair(await found(installation), await found(installation))
    await store(installation, both.mine, usage("mine"))
    await store(installation, both.theirs, usage("theirs"))
    return both


@pytest_asyncio.fixture
async def single(installation: Installation) -> AsyncIterator[Pool]:
    """A pool of one connection, which forgets nothing when it is given back."""
    assert installation.settings.database_url is not None

    async def nothing(_: Connection) -> None:
        return

    async def prepared(connection: Connection) -> None:
        await itself(connection).prepare_companions()

    async with asyncpg.create_pool(
        installation.settings.database_url.value,
        min_size=1,
        max_size=1,
        connect=connect,
        connection_class=ForgetfulConnection,
        init=prepared,
        reset=nothing,
    ) as pool:
        yield pool


async def run(connection: Connection, statement: str) -> None:
    """Any statement, COPY included."""
    if statement.endswith("TO STDOUT"):
        query = statement.removeprefix("COPY ").removesuffix(" TO STDOUT")
        schema, _, table = query.rpartition(".")
        await connection.copy_from_table(table, schema_name=schema or None, output=io.BytesIO())
    elif statement.endswith("FROM STDIN"):
        schema, _, table = statement.removeprefix("COPY ").removesuffix(" FROM STDIN").rpartition(".")
        await connection.copy_to_table(table, schema_name=schema or None, source=io.BytesIO(b""))
    else:
        await connection.fetch(statement)


async def state_of(pool: Pool) -> tuple[str, str, str]:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT session_user, current_user, current_setting('search_path') AS path"
        )
    assert row is not None
    return row["session_user"], row["current_user"], row["path"]


CLEAN = ("platform_app", "platform_app", '"$user", public')


# --- what a tenant session shows and refuses ------------------------------------------------------


async def test_the_tables_named_in_the_migrations_are_all_that_a_tenant_has(
    installation: Installation, pair: Pair
) -> None:
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'v', 'm')"
    )
    live = {row["relname"] for row in await rows(installation, query, pair.mine.schema)}
    assert live == set(TENANT_TABLES)
    public = {row["relname"] for row in await rows(installation, query, "public")}
    assert public == set(PUBLIC_TABLES)


async def test_a_tenant_session_shows_the_tenants_own_rows(installation: Installation, pair: Pair) -> None:
    for tenant, event_id in ((pair.mine, "mine"), (pair.theirs, "theirs")):
        async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
            found_ids = await session.connection.fetch("SELECT id FROM usage_events")
            assert [row["id"] for row in found_ids] == [event_id]
            assert await session.connection.fetchval("SELECT current_user") == tenant.schema
            assert session.tenant == tenant


async def test_a_tenant_is_entered_by_its_slug_as_well(installation: Installation, pair: Pair) -> None:
    async with tenant_session(installation.pool, slug=pair.mine.slug) as session:
        assert session.tenant == pair.mine
        assert await session.connection.fetchval("SELECT current_user") == pair.mine.schema


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_tenant_session_is_refused_another_tenants_table_by_its_full_name(
    installation: Installation, pair: Pair, table: str, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await run(
                session.connection,
                statement.format(table=f"{pair.theirs.schema}.{table}", column=TENANT_TABLES[table]),
            )


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_tenants_table_is_refused_outside_a_tenant_session(
    installation: Installation, pair: Pair, table: str, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with platform_session(installation.pool) as session:
            await run(
                session.connection,
                statement.format(table=f"{pair.mine.schema}.{table}", column=TENANT_TABLES[table]),
            )


@pytest.mark.parametrize(
    "query",
    [
        "SELECT (SELECT count(*) FROM {theirs}.usage_events) + (SELECT count(*) FROM usage_events)",
        "INSERT INTO usage_events SELECT * FROM {theirs}.usage_events",
        "WITH gone AS (DELETE FROM {theirs}.usage_events RETURNING *) SELECT count(*) FROM gone",
        "CREATE VIEW stolen AS SELECT * FROM {theirs}.usage_events",
        "SELECT query_to_xml('SELECT * FROM {theirs}.usage_events', false, false, '')",
        "SELECT schema_to_xml('{theirs}', false, false, '')",
        "DO $$ BEGIN PERFORM * FROM {theirs}.usage_events; END $$",
        "PREPARE stolen AS SELECT * FROM {theirs}.usage_events",
        "DECLARE stolen CURSOR FOR SELECT * FROM {theirs}.usage_events",
    ],
)
async def test_no_detour_leads_a_tenant_session_to_another_tenants_rows(
    installation: Installation, pair: Pair, query: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await session.connection.execute(query.format(theirs=pair.theirs.schema))


async def test_a_search_path_to_another_tenant_shows_nothing(installation: Installation, pair: Pair) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):  # a schema that may not be used is passed over
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await session.connection.execute(f"SET LOCAL search_path = {pair.theirs.schema}")
            await session.connection.fetch("SELECT * FROM usage_events")


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("table", [table for table in PUBLIC_TABLES if table != "audit_log"])
async def test_a_tenant_session_is_refused_the_platforms_tables(
    installation: Installation, pair: Pair, table: str, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await run(
                session.connection,
                statement.format(table=f"public.{table}", column=PUBLIC_TABLES[table]),
            )


@pytest.mark.parametrize("statement", [SELECT, COUNT, DELETE, TRUNCATE, LOCK, COPY_OUT, UPDATE])
async def test_a_tenant_session_reads_and_changes_no_audit_entry_not_even_its_own(
    installation: Installation, pair: Pair, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await append_entry(session, AuditEntry("test", "own", SYSTEM))
            await run(session.connection, statement.format(table="public.audit_log", column="id"))


async def test_a_tenant_session_appends_to_its_own_chain(installation: Installation, pair: Pair) -> None:
    subject = f"test:{uuid4()}"
    async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
        await append_entry(session, AuditEntry("test", subject, SYSTEM, details={"b": "2", "a": "1"}))
    entries = await rows(installation, "SELECT chain, details FROM audit_log WHERE subject = $1", subject)
    assert entries == [{"chain": pair.mine.chain, "details": '{"a":"1","b":"2"}'}]


async def test_a_tenant_session_cannot_append_to_the_chain_of_the_platform(
    installation: Installation, pair: Pair
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await append_platform_entry(session, AuditEntry("test", "forged", SYSTEM))
    assert not await rows(installation, "SELECT FROM audit_log WHERE subject = 'forged'")


async def test_a_tenant_session_cannot_append_to_another_tenants_chain(
    installation: Installation, pair: Pair
) -> None:
    query = """
        INSERT INTO public.audit_log (id, chain, occurred_at, actor_kind, action, subject, outcome, details)
        VALUES ($1, $2, now(), 'system', 'test', 'forged', 'success', '{}')
    """
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await session.connection.execute(query, uuid4(), pair.theirs.chain)


async def test_the_platform_changes_no_audit_entry_either(installation: Installation) -> None:
    for statement in (DELETE, TRUNCATE, UPDATE):
        with pytest.raises(InsufficientPrivilegeError):
            async with platform_session(installation.pool) as session:
                await run(session.connection, statement.format(table="public.audit_log", column="id"))


# --- what the application may not do at all -----------------------------------------------------

BEYOND_ITS_RIGHTS = [
    "CREATE TABLE stolen (id int)",
    "CREATE TABLE public.stolen (id int)",
    "CREATE TEMP TABLE stolen (id int)",
    "CREATE SCHEMA stolen",
    "CREATE ROLE stolen",
    "CREATE FUNCTION stolen() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE public.tenants ADD COLUMN stolen int",
    "ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY",
    "ALTER ROLE platform_app SUPERUSER",
    "ALTER ROLE platform_app INHERIT",
    "DROP TABLE public.tenants",
    "DROP SCHEMA {mine} CASCADE",
    "DROP TABLE {mine}.usage_events",
    "ALTER TABLE {mine}.invoices DISABLE ROW LEVEL SECURITY",
    "GRANT {theirs} TO {mine}",
    "GRANT platform_owner TO platform_app",
    "SET ROLE platform_owner",
    "SET SESSION AUTHORIZATION platform_owner",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/stolen'",
]


@pytest.mark.parametrize("statement", BEYOND_ITS_RIGHTS)
async def test_the_application_is_refused(installation: Installation, pair: Pair, statement: str) -> None:
    text = statement.format(mine=pair.mine.schema, theirs=pair.theirs.schema)
    with pytest.raises(InsufficientPrivilegeError):
        async with platform_session(installation.pool) as session:
            await session.connection.execute(text)


@pytest.mark.parametrize("statement", BEYOND_ITS_RIGHTS)
async def test_a_tenant_session_is_refused(installation: Installation, pair: Pair, statement: str) -> None:
    text = statement.format(mine=pair.mine.schema, theirs=pair.theirs.schema)
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=pair.mine.id) as session:
            await session.connection.execute(text)


@pytest.mark.parametrize("statement", ["CREATE DATABASE stolen", "ALTER SYSTEM SET fsync = off"])
async def test_the_application_is_refused_outside_a_transaction(
    installation: Installation, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        await installation.pool.execute(statement)


async def test_the_application_inherits_no_right_of_a_tenant(installation: Installation, pair: Pair) -> None:
    query = """
        SELECT admin_option, inherit_option, set_option FROM pg_auth_members
        WHERE roleid = $1::regrole AND member = 'platform_app'::regrole
    """
    expected = {"admin_option": False, "inherit_option": False, "set_option": True}
    assert await rows(installation, query, pair.mine.schema) == [expected]


# --- which tenants can be entered ----------------------------------------------------------------


async def test_an_unknown_tenant_is_not_found(installation: Installation) -> None:
    with pytest.raises(NotFound):
        async with tenant_session(installation.pool, tenant_id=uuid4()):
            pytest.fail("entered")
    with pytest.raises(NotFound):
        async with tenant_session(installation.pool, slug="nobody-has-this-slug"):
            pytest.fail("entered")


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (TenantState.PENDING, TenantNotReady),
        (TenantState.PROVISIONING, TenantNotReady),
        (TenantState.DEPROVISIONING, TenantGone),
        (TenantState.DELETED, TenantGone),
    ],
)
async def test_a_tenant_without_a_schema_yet_or_any_more_cannot_be_entered(
    installation: Installation, state: TenantState, error: type[PlatformError]
) -> None:
    tenant = await put_into(installation, await register(installation), state)
    with pytest.raises(error):
        async with tenant_session(installation.pool, tenant_id=tenant.id):
            pytest.fail("entered")
    with pytest.raises(error):
        async with tenant_session(installation.pool, slug=tenant.slug):
            pytest.fail("entered")


async def test_a_suspended_tenant_can_be_entered(installation: Installation, tenant: Tenant) -> None:
    await put_into(installation, tenant, TenantState.SUSPENDED)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert session.tenant.state is TenantState.SUSPENDED


# --- one transaction -------------------------------------------------------------------------------


async def test_a_session_commits_at_its_end(installation: Installation, tenant: Tenant) -> None:
    await store(installation, tenant, usage("kept"))
    assert len(await rows(installation, f"SELECT FROM {tenant.schema}.usage_events")) == 1


async def test_a_session_rolls_back_on_any_exception(installation: Installation, tenant: Tenant) -> None:
    with pytest.raises(KeyError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute("INSERT INTO invoice_numbers VALUES (2026, 1)")
            raise KeyError
    assert not await rows(installation, f"SELECT FROM {tenant.schema}.invoice_numbers")


async def test_an_error_that_is_swallowed_inside_a_session_makes_the_commit_fail(
    installation: Installation, tenant: Tenant
) -> None:
    with pytest.raises(RuntimeError, match="nothing was committed"):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute("INSERT INTO invoice_numbers VALUES (2026, 1)")
            with pytest.raises(DivisionByZeroError):
                await session.connection.execute("SELECT 1 / 0")
    assert not await rows(installation, f"SELECT FROM {tenant.schema}.invoice_numbers")


async def test_a_readonly_tenant_session_refuses_writes(installation: Installation, tenant: Tenant) -> None:
    with pytest.raises(ReadOnlySQLTransactionError):
        async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
            await session.connection.execute("INSERT INTO invoice_numbers VALUES (2026, 1)")


async def test_a_readonly_platform_session_refuses_writes(installation: Installation, tenant: Tenant) -> None:
    with pytest.raises(ReadOnlySQLTransactionError):
        async with platform_session(installation.pool, readonly=True) as session:
            await session.connection.execute("UPDATE tenants SET name = 'x' WHERE id = $1", tenant.id)


async def test_the_session_after_a_readonly_one_may_write(single: Pool, tenant: Tenant) -> None:
    async with tenant_session(single, tenant_id=tenant.id, readonly=True):
        pass
    async with tenant_session(single, tenant_id=tenant.id) as session:
        await session.connection.execute("INSERT INTO invoice_numbers VALUES (2026, 1)")


async def test_an_owner_session_works_in_the_schema_that_it_names(
    installation: Installation, tenant: Tenant
) -> None:
    async with owner_session(installation.owner_pool, schema=tenant.schema) as session:
        assert await session.connection.fetchval("SELECT current_schema()") == tenant.schema
    async with owner_session(installation.owner_pool) as session:
        assert await session.connection.fetchval("SELECT current_schema()") == "public"


async def test_a_piccolo_query_runs_in_the_sessions_transaction(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, usage("one"))
    with pytest.raises(KeyError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.run(UsageEvents.delete(force=True))
            assert await session.run(UsageEvents.select(UsageEvents.id)) == []
            raise KeyError
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await session.run(UsageEvents.select(UsageEvents.id)) == [{"id": "one"}]


async def test_a_piccolo_query_that_is_awaited_outside_a_session_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Session\.run"):
        await UsageEvents.select()


# --- nothing outlives a session ----------------------------------------------------------------


async def test_role_and_search_path_end_with_the_session(single: Pool, tenant: Tenant) -> None:
    async with tenant_session(single, tenant_id=tenant.id):
        pass
    assert await state_of(single) == CLEAN


async def test_role_and_search_path_end_with_an_exception(single: Pool, tenant: Tenant) -> None:
    with pytest.raises(KeyError):
        async with tenant_session(single, tenant_id=tenant.id):
            raise KeyError
    assert await state_of(single) == CLEAN


async def test_role_and_search_path_end_with_a_failed_statement(single: Pool, tenant: Tenant) -> None:
    with pytest.raises(DivisionByZeroError):
        async with tenant_session(single, tenant_id=tenant.id) as session:
            await session.connection.execute("SELECT 1 / 0")
    assert await state_of(single) == CLEAN


async def test_role_and_search_path_end_with_a_swallowed_error(single: Pool, tenant: Tenant) -> None:
    with pytest.raises(RuntimeError):
        async with tenant_session(single, tenant_id=tenant.id) as session:
            with pytest.raises(DivisionByZeroError):
                await session.connection.execute("SELECT 1 / 0")
    assert await state_of(single) == CLEAN


async def test_role_and_search_path_end_when_the_tenant_cannot_be_entered(
    single: Pool, installation: Installation
) -> None:
    tenant = await register(installation)
    with pytest.raises(TenantNotReady):
        async with tenant_session(single, tenant_id=tenant.id):
            pytest.fail("entered")
    assert await state_of(single) == CLEAN


async def test_role_and_search_path_end_with_the_cancellation_of_a_running_query(
    single: Pool, installation: Installation, tenant: Tenant
) -> None:
    async def long() -> None:
        async with tenant_session(single, tenant_id=tenant.id) as session:
            await session.connection.execute("SELECT pg_sleep(20), $1::text", tenant.slug)

    task = asyncio.create_task(long())
    query = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(20)%'"
    await until(lambda: rows(installation, query))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state_of(single) == CLEAN


async def test_what_a_session_sets_for_longer_than_its_transaction_is_forgotten_in_the_pool(
    installation: Installation, tenant: Tenant
) -> None:
    """Nothing of ours does this; the pool's reset is a second lock on the door."""
    assert installation.settings.database_url is not None
    async with await open_pool(installation.settings.database_url.value, size=1, name="tests") as pool:
        async with pool.acquire() as connection:
            await connection.execute(f"SET ROLE {tenant.schema}; SET search_path = {tenant.schema}")
        assert await state_of(pool) == CLEAN


async def test_what_is_set_for_longer_inside_a_session_is_forgotten_as_it_commits(
    single: Pool, tenant: Tenant
) -> None:
    """By the session itself: this pool forgets nothing."""
    async with tenant_session(single, tenant_id=tenant.id) as session:
        await session.connection.execute(f"SET ROLE {tenant.schema}; SET search_path = {tenant.schema}")
    assert await state_of(single) == CLEAN


async def test_the_pool_forgets_again_for_whoever_comes_after_a_session(
    installation: Installation, tenant: Tenant
) -> None:
    assert installation.settings.database_url is not None
    async with await open_pool(installation.settings.database_url.value, size=1, name="tests") as pool:
        async with tenant_session(pool, tenant_id=tenant.id):
            pass
        async with pool.acquire() as connection:
            await connection.execute(f"SET ROLE {tenant.schema}")
        assert await state_of(pool) == CLEAN


async def test_a_hundred_sessions_cancelled_anywhere_leave_no_role_no_transaction_and_no_lock(
    installation: Installation, pair: Pair
) -> None:
    assert installation.settings.database_url is not None
    chance = random.Random(20261123)
    async with await open_pool(
        installation.settings.database_url.value, size=4, name=new_slug("cancelled")
    ) as pool:
        tasks = [
            asyncio.create_task(_work(pool, chance.choice([pair.mine, pair.theirs]))) for _ in range(100)
        ]
        for task in chance.sample(tasks, len(tasks)):
            await asyncio.sleep(chance.uniform(0, 0.004))
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ended} <= {asyncio.CancelledError, type(None)}
        assert any(isinstance(end, asyncio.CancelledError) for end in ended)
        held = [await pool.acquire() for _ in range(4)]
        for connection in held:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT current_user") == "platform_app"
        for connection in held:
            await pool.release(connection)
        for tenant in (pair.mine, pair.theirs):
            await _work(pool, tenant)


async def _work(pool: Pool, tenant: Tenant) -> None:
    """A session that sees only its own tenant, wherever the ones before it on the connection were cut off."""
    async with tenant_session(pool, tenant_id=tenant.id) as session:
        connection = session.connection
        assert await connection.fetchval("SELECT current_user") == tenant.schema
        await connection.execute("INSERT INTO invoice_numbers VALUES (1, 1) ON CONFLICT DO NOTHING")
        await connection.execute("SELECT pg_sleep(0.002)")
        await connection.execute("DELETE FROM invoice_numbers")
        seen = await connection.fetch("SELECT DISTINCT tableoid::regclass::text AS name FROM usage_events")
        assert [row["name"] for row in seen] == ["usage_events"]
        assert await connection.fetchval("SELECT current_user") == tenant.schema


async def test_a_role_that_the_application_may_not_take_on_is_refused_for_good(
    installation: Installation,
) -> None:
    tenant = await found(installation)
    async with owner_session(installation.owner_pool) as owner:
        await owner.connection.execute(f"REVOKE {tenant.schema} FROM platform_app")
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id):
            pass
    async with owner_session(installation.owner_pool) as owner:
        await owner.connection.execute(f"GRANT {tenant.schema} TO platform_app WITH INHERIT FALSE, SET TRUE")
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        assert await session.connection.fetchval("SHOW transaction_read_only") == "on"


async def test_memberships_that_a_backend_remembers_wrongly_can_be_forgotten(
    installation: Installation,
) -> None:
    async with platform_session(installation.pool, readonly=True) as session:
        assert await session.connection.fetchval(SQL["forget_memberships"]) is False


async def test_who_is_in_the_tenant_when_it_is_frozen_is_told_that_it_is_gone(
    installation: Installation, tenant: Tenant
) -> None:
    with pytest.raises(TenantGone):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.fetchval("SELECT count(*) FROM users")
            await put_into(installation, tenant, TenantState.DEPROVISIONING)
            async with administrator(installation.admin_url) as admin:
                await admin.execute(f"REVOKE ALL ON SCHEMA {tenant.schema} FROM {tenant.schema}")
            await session.connection.fetchval("SELECT count(*) FROM usage_events")


async def test_what_the_database_refuses_an_open_tenant_is_no_erasure(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.fetchval(f"SELECT count(*) FROM {other_tenant.schema}.users")
