"""Migrations of the shared schema and of every tenant's."""

import asyncio
from pathlib import Path

import asyncpg
import msgspec
import pytest

from core.errors import MigrationChanged
from core.tenant import Tenant, TenantState
from shell.migrations import (
    PUBLIC,
    TENANT,
    Migration,
    load_migrations,
    migrate_public,
    migrate_schema,
    migrate_tenants,
    split_statements,
)
from shell.session import owner_session, tenant_session
from tests.installation import Installation, found, put_into, register, rows

NEXT = TENANT[-1].version + 1


def migration(*statements: str, version: int = NEXT) -> Migration:
    return Migration(version, "added", "0" * 64, statements)


async def ran_in(installation: Installation, schema: str) -> list[int]:
    found_rows = await rows(installation, f"SELECT version FROM {schema}.schema_migrations ORDER BY version")
    return [int(str(row["version"])) for row in found_rows]


async def columns_of(installation: Installation, tenant: Tenant, table: str) -> set[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"
    return {str(row["column_name"]) for row in await rows(installation, query, tenant.schema, table)}


async def test_migrating_the_shared_schema_again_runs_nothing(own_installation: Installation) -> None:
    assert await migrate_public(own_installation.owner_pool) == 0
    assert await ran_in(own_installation, "public") == [migration.version for migration in PUBLIC]


async def test_a_new_migration_runs_in_every_tenants_schema(own_installation: Installation) -> None:
    tenants = [await found(own_installation) for _ in range(3)]
    await put_into(own_installation, tenants[0], TenantState.SUSPENDED)
    seen: list[tuple[int, int]] = []
    added = (*TENANT, migration("ALTER TABLE usage_events ADD COLUMN colour text"))
    ran = await migrate_tenants(
        own_installation.owner_pool, migrations=added, progress=lambda done, total: seen.append((done, total))
    )
    assert ran == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for tenant in tenants:
        assert "colour" in await columns_of(own_installation, tenant, "usage_events")
    assert await migrate_tenants(own_installation.owner_pool, migrations=added) == 0


async def test_tenants_without_a_schema_are_left_out(own_installation: Installation) -> None:
    await register(own_installation)
    gone = await found(own_installation)
    await put_into(own_installation, gone, TenantState.DEPROVISIONING)
    added = (*TENANT, migration("CREATE TABLE added (id int PRIMARY KEY)"))
    assert await migrate_tenants(own_installation.owner_pool, migrations=added) == 0


async def test_a_tenant_may_use_the_tables_that_a_later_migration_makes(
    own_installation: Installation,
) -> None:
    tenant = await found(own_installation)
    added = (*TENANT, migration("CREATE TABLE added (id int PRIMARY KEY)"))
    await migrate_tenants(own_installation.owner_pool, migrations=added)
    async with tenant_session(own_installation.pool, tenant_id=tenant.id) as session:
        await session.connection.execute("INSERT INTO added VALUES (1)")


@pytest.mark.parametrize("migrations", [PUBLIC, TENANT], ids=["public", "tenant"])
async def test_an_old_file_that_was_changed_is_refused(
    own_installation: Installation, migrations: tuple[Migration, ...]
) -> None:
    tenant = await found(own_installation)
    schema = "public" if migrations is PUBLIC else tenant.schema
    changed = msgspec.structs.replace(migrations[0], checksum="f" * 64)
    added = migration("CREATE TABLE added (id int PRIMARY KEY)", version=len(migrations) + 1)
    with pytest.raises(MigrationChanged) as refused:
        await migrate_schema(own_installation.owner_pool, schema, (changed, *migrations[1:], added))
    assert refused.value.data == {"name": f"001_{changed.name}", "schema": schema}
    assert await ran_in(own_installation, schema) == [each.version for each in migrations]


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(own_installation: Installation) -> None:
    tenant = await found(own_installation)
    broken = migration("ALTER TABLE usage_events ADD COLUMN colour text", "SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate_schema(own_installation.owner_pool, tenant.schema, (*TENANT, broken))
    assert "colour" not in await columns_of(own_installation, tenant, "usage_events")
    assert await ran_in(own_installation, tenant.schema) == [each.version for each in TENANT]


async def test_migrating_goes_on_where_a_failure_interrupted_it(own_installation: Installation) -> None:
    tenants = [await found(own_installation) for _ in range(6)]
    in_the_way = tenants[2]
    async with owner_session(own_installation.owner_pool, schema=in_the_way.schema) as session:
        await session.connection.execute("CREATE TABLE added (id int PRIMARY KEY)")
    added = (*TENANT, migration("CREATE TABLE added (id int PRIMARY KEY, colour text)"))
    with pytest.raises(ExceptionGroup) as failed:
        await migrate_tenants(own_installation.owner_pool, migrations=added)
    assert failed.group_contains(asyncpg.DuplicateTableError)
    async with owner_session(own_installation.owner_pool, schema=in_the_way.schema) as session:
        await session.connection.execute("DROP TABLE added")
    await migrate_tenants(own_installation.owner_pool, migrations=added)
    for tenant in tenants:
        assert await columns_of(own_installation, tenant, "added") == {"id", "colour"}
        assert await ran_in(own_installation, tenant.schema) == [each.version for each in added]


async def test_many_runners_at_once_run_each_migration_once(own_installation: Installation) -> None:
    tenants = [await found(own_installation) for _ in range(3)]
    added = (*TENANT, migration("ALTER TABLE usage_events ADD COLUMN colour text"))
    runs = [migrate_tenants(own_installation.owner_pool, migrations=added) for _ in range(5)]
    assert sum(await asyncio.gather(*runs)) == len(tenants)


async def test_two_first_runs_at_once_migrate_the_shared_schema_once(own_installation: Installation) -> None:
    async with owner_session(own_installation.owner_pool) as session:
        await session.connection.execute("DROP SCHEMA IF EXISTS fresh CASCADE; CREATE SCHEMA fresh")
    first = (migration("CREATE TABLE added (id int PRIMARY KEY)", version=1),)
    runs = [migrate_schema(own_installation.owner_pool, "fresh", first) for _ in range(4)]
    assert sorted(await asyncio.gather(*runs)) == [0, 0, 0, 1]


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    text = """
-- A comment; with a semicolon;
CREATE TABLE a (
    text text DEFAULT 'a; b' -- inside; a line
);

INSERT INTO a VALUES (';');
-- between;
SELECT 1"""
    assert split_statements(text) == (
        "CREATE TABLE a (\n    text text DEFAULT 'a; b' -- inside; a line\n)",
        "INSERT INTO a VALUES (';')",
        "SELECT 1",
    )


@pytest.mark.parametrize("text", ["", "\n\n", "-- nothing;\n", ";\n"])
def test_a_file_without_statements_has_none(text: str) -> None:
    assert split_statements(text) == ()


def test_two_migrations_with_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("001_a.sql", "001_b.sql"):
        (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(ValueError, match="same number"):
        load_migrations(tmp_path)


@pytest.mark.parametrize("migrations", [PUBLIC, TENANT], ids=["public", "tenant"])
def test_our_migrations_run_in_the_order_of_their_numbers(migrations: tuple[Migration, ...]) -> None:
    versions = [each.version for each in migrations]
    assert versions == sorted(set(versions))
