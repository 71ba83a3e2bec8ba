"""Migrations: plain SQL files, one transaction per schema, recorded there with a checksum.

The convention that makes splitting safe: a statement ends with a semicolon at the end of a line, and no
other line ends with one.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from core.errors import MigrationChanged
from shell.database import Pool
from shell.queries import SQL, SQL_FOLDER
from shell.session import Session, owner_session

PARALLEL = 4


def ledger(schema: str) -> str:
    """The statement that makes a schema's record of its migrations."""
    return f"""
        CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
            version    integer PRIMARY KEY,
            name       text NOT NULL,
            checksum   text NOT NULL,
            applied_at timestamptz NOT NULL
        )
    """


class Migration(msgspec.Struct, frozen=True):
    """One file: its number, name, checksum and statements."""

    version: int
    name: str
    checksum: str
    statements: tuple[str, ...]


def load_migrations(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a folder in order; raises ValueError where a number stands twice."""
    found = [_load(file) for file in sorted(folder.glob("*.sql"))]
    if len({migration.version for migration in found}) != len(found):
        raise ValueError(f"two migrations in {folder.name} have the same number")
    return tuple(found)


def split_statements(text: str) -> tuple[str, ...]:
    """The statements of a file, without comments that stand on lines of their own."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    chunks = "\n".join(lines).split(";\n")
    return tuple(stripped for chunk in chunks if (stripped := chunk.strip().removesuffix(";")))


def _load(file: Path) -> Migration:
    content = file.read_bytes()
    number, _, name = file.stem.partition("_")
    checksum = hashlib.sha256(content).hexdigest()
    return Migration(int(number), name, checksum, split_statements(content.decode()))


PUBLIC = load_migrations(SQL_FOLDER / "public")
TENANT = load_migrations(SQL_FOLDER / "tenant")


async def migrate_public(owner_pool: Pool, *, migrations: tuple[Migration, ...] = PUBLIC) -> int:
    """Bring the shared schema up to date; gives how many migrations ran."""
    return await migrate_schema(owner_pool, "public", migrations)


async def migrate_tenants(
    owner_pool: Pool,
    *,
    migrations: tuple[Migration, ...] = TENANT,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Bring every tenant's schema up to date, several at a time; gives how many migrations ran in all.

    May be interrupted and run again: each schema is one transaction.
    """
    async with owner_session(owner_pool) as session:
        schemas = [row["schema"] for row in await session.connection.fetch(SQL["provisioned_schemas"])]
    done, ran, gate = 0, 0, asyncio.Semaphore(PARALLEL)

    async def migrate(schema: str) -> None:
        nonlocal done, ran
        async with gate:
            here = await migrate_schema(owner_pool, schema, migrations)
        ran += here  # not across the await: others add to it meanwhile
        done += 1
        progress(done, len(schemas))

    async with asyncio.TaskGroup() as group:
        for schema in schemas:
            group.create_task(migrate(schema))
    return ran


async def migrate_schema(owner_pool: Pool, schema: str, migrations: tuple[Migration, ...]) -> int:
    """Run what one schema lacks, in one transaction; raises MigrationChanged for an edited old file."""
    async with owner_session(owner_pool, schema=schema) as session:
        await session.connection.execute(SQL["lock_schema"], schema)
        await session.connection.execute(ledger(schema))
        applied = await _applied(session)
        for migration in migrations:
            _require_unchanged(migration, applied, schema)
        missing = [migration for migration in migrations if migration.version not in applied]
        for migration in missing:
            await _apply(session, migration)
    return len(missing)


async def _applied(session: Session) -> dict[int, str]:
    rows = await session.connection.fetch("SELECT version, checksum FROM schema_migrations")
    return {row["version"]: row["checksum"] for row in rows}


def _require_unchanged(migration: Migration, applied: dict[int, str], schema: str) -> None:
    if applied.get(migration.version, migration.checksum) != migration.checksum:
        raise MigrationChanged(name=f"{migration.version:03d}_{migration.name}", schema=schema)


async def _apply(session: Session, migration: Migration) -> None:
    for statement in migration.statements:
        await session.connection.execute(statement)
    await session.connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.name,
        migration.checksum,
        datetime.now(UTC),
    )
