"""Backups: every schema as it was at one moment, dumped by `pg_dump`, each file sealed, the manifest last.

A folder without a manifest is no backup: it was interrupted. The key opens it and nothing else does; a file
is bound to its backup and its path.
"""

import asyncio
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.audit import AuditEntry
from core.backup import (
    FORMAT,
    BackedUpTenant,
    BackupFile,
    BackupRefused,
    Header,
    Manifest,
    require_known_format,
    require_restorable,
    require_same_files,
)
from core.errors import SettingInvalid
from shell.audit import append_platform_entry
from shell.commands.connect import AT_THE_MACHINE, Connected
from shell.database import Connection
from shell.embedded.folder import lock_data_folder
from shell.migrations import PUBLIC, TENANT
from shell.postgres_tools import dump_schema
from shell.queries import SQL
from shell.sealed_files import SealedFileBroken, opened_chunks, seal_file
from shell.session import platform_session
from shell.settings import PREFIX, Secret, Settings

NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
SHORTEST_KEY = 32
MANIFEST = "manifest"
SEALED = ".sealed"
SEALED_MANIFEST = MANIFEST + SEALED
PLAIN_MANIFEST, UNFINISHED_MANIFEST = "manifest.json", "manifest.part"
"""What a manifest is made of, and what a killed process leaves of it."""

LAST_MIGRATION = "SELECT max(version) FROM {schema}.schema_migrations"


class Backup(msgspec.Struct, frozen=True):
    """A backup whose manifest was opened, in its folder, with its key."""

    folder: Path
    key: Secret
    manifest: Manifest


def backup_key(settings: Settings) -> Secret:
    """The key of backups; raises SettingInvalid where none is set, as by default, or a short one."""
    key = settings.backup_key
    if key is None or len(key.value) < SHORTEST_KEY:
        reason = f"is needed, with {SHORTEST_KEY} random characters or more; `openssl rand -hex 32` makes one"
        raise SettingInvalid(name=PREFIX + "BACKUP_KEY", reason=reason)
    return key


def owner_url(settings: Settings) -> Secret:
    """What the owner of all schemas logs in with, which commands that are connected have."""
    if settings.owner_database_url is None:
        raise TypeError("settings without servers")
    return settings.owner_database_url


# --- making one -------------------------------------------------------------------------------------


async def take_backup(platform: Connected, output: Path, *, slug: str | None = None) -> Backup:
    """Back up everything in the database, or one tenant's schema; gives the backup, in a folder of its own.

    Raises BackupRefused for a tenant without a schema, ToolMissing, ToolFailed, and DataFolderInUse while
    another one is made in the same place.
    """
    key, now = backup_key(platform.settings), datetime.now(UTC)
    with lock_data_folder(output):
        _remove_interrupted(output)
        folder = output / f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            manifest = await _filled(platform, folder, key, slug, now)
            await asyncio.to_thread(write_manifest, folder, key, manifest)
        except BaseException:
            shutil.rmtree(folder)
            raise
    await _audit(platform, manifest)
    return Backup(folder, key, manifest)


def folders_in(output: Path) -> list[Path]:
    """The folders of backups, finished or not, the oldest first."""
    return sorted(folder for folder in output.iterdir() if NAME.fullmatch(folder.name))


def is_finished(folder: Path) -> bool:
    """Whether it is a backup: it has a manifest."""
    return (folder / SEALED_MANIFEST).is_file()


def _remove_interrupted(output: Path) -> None:
    """Remove what a killed process has left: it may hold a dump that was not sealed yet."""
    for folder in folders_in(output):
        if not is_finished(folder):
            shutil.rmtree(folder)


async def _filled(
    platform: Connected, folder: Path, key: Secret, slug: str | None, now: datetime
) -> Manifest:
    """Dump and seal each schema, all as they were at one moment; gives what the manifest says."""
    files: list[BackupFile] = []
    async with _snapshot(platform) as (connection, snapshot):
        tenants = await _tenants(connection, slug)
        for schema in [*(tenant.schema for tenant in tenants), *([] if slug else ["public"])]:
            files += await _backed_up(platform, folder, key, schema, snapshot)
        return Manifest(
            format=FORMAT,
            id=folder.name,
            taken_at=now,
            server=str(connection.get_server_version().major),
            public_version=None if slug else await connection.fetchval(SQL["public_version"]),
            tenants=tuple(tenants),
            files=tuple(files),
        )


async def _audit(platform: Connected, manifest: Manifest) -> None:
    is_whole = manifest.public_version is not None
    details: dict[str, str | int | bool] = {"tenants": len(manifest.tenants), "is_whole": is_whole}
    entry = AuditEntry("backup.taken", f"backup:{manifest.id}", AT_THE_MACHINE, details=details)
    async with platform_session(platform.pool) as session:
        await append_platform_entry(session, entry)


@asynccontextmanager
async def _snapshot(platform: Connected) -> AsyncIterator[tuple[Connection, str]]:
    """An open transaction of the owner, and the name under which other connections see what it sees."""
    async with (
        platform.owner_pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection, str(await connection.fetchval("SELECT pg_export_snapshot()"))


async def _tenants(connection: Connection, slug: str | None) -> list[BackedUpTenant]:
    rows = await connection.fetch(SQL["tenants_to_back_up"], slug)
    if slug is not None and not rows:
        raise BackupRefused(reason=f"there is no tenant {slug} with a schema")
    return [
        BackedUpTenant(
            row["id"],
            row["slug"],
            row["schema"],
            await connection.fetchval(LAST_MIGRATION.format(schema=row["schema"])) or 0,
        )
        for row in rows
    ]


async def _backed_up(
    platform: Connected, folder: Path, key: Secret, schema: str, snapshot: str
) -> list[BackupFile]:
    """Dump one schema beside the backup, in a folder that only we can read, and seal its files."""
    url = owner_url(platform.settings)
    with TemporaryDirectory(dir=folder, prefix="dump-") as place:
        dump = Path(place) / schema
        await dump_schema(url, schema, snapshot=snapshot, folder=dump)
        return await asyncio.to_thread(_sealed, folder, key, dump)


def _sealed(folder: Path, key: Secret, dump: Path) -> list[BackupFile]:
    (folder / dump.name).mkdir(mode=0o700)
    found = []
    for source in sorted(dump.iterdir()):
        path = f"{dump.name}/{source.name}"
        size, digest = seal_file(source, folder / (path + SEALED), key, f"{folder.name} {path}")
        found.append(BackupFile(path, size, digest))
    return found


def write_manifest(folder: Path, key: Secret, manifest: Manifest) -> None:
    """Make of a folder a backup, or another one of what was one: whole or not at all, and for good."""
    plain, part = folder / PLAIN_MANIFEST, folder / UNFINISHED_MANIFEST
    try:
        plain.write_bytes(msgspec.json.encode(manifest))
        seal_file(plain, part, key, f"{folder.name} {MANIFEST}")
        part.rename(folder / SEALED_MANIFEST)
    finally:  # also where the disk is full: a backup with something else in it is refused
        plain.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- opening one ------------------------------------------------------------------------------------


def open_backup(folder: Path, key: Secret) -> Backup:
    """The backup in a folder, every file of which is there and unchanged; raises BackupRefused."""
    backup = open_manifest(folder, key)
    manifest = backup.manifest
    require_restorable(manifest, public_version=PUBLIC[-1].version, tenant_version=TENANT[-1].version)
    require_same_files(manifest.files, _files_in(backup.folder))
    return backup


def open_manifest(folder: Path, key: Secret) -> Backup:
    """The backup in a folder, whose files were not looked at; raises BackupRefused."""
    folder = folder.resolve()
    if not is_finished(folder):
        raise BackupRefused(
            reason="it has no manifest: the folder is another's, or the backup was interrupted"
        )
    try:
        content = b"".join(opened_chunks(folder / SEALED_MANIFEST, key, f"{folder.name} {MANIFEST}"))
    except SealedFileBroken as error:
        reason = "its manifest was changed, its folder was renamed, or the key is another"
        raise BackupRefused(reason=reason) from error
    require_known_format(msgspec.json.decode(content, type=Header))
    return Backup(folder, key, msgspec.json.decode(content, type=Manifest))


def _files_in(folder: Path) -> dict[str, BackupFile]:
    found = {}
    for file in folder.rglob("*"):
        path = file.relative_to(folder).as_posix().removesuffix(SEALED)
        if file.is_file() and path != MANIFEST:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found[path] = BackupFile(path, file.stat().st_size, digest)
    return found


def unsealed(backup: Backup, schema: str, place: Path) -> Path:
    """Open one schema's files into a folder of that name; raises BackupRefused."""
    target = place / schema
    target.mkdir(mode=0o700)
    for file in backup.manifest.files:
        home, _, name = file.path.partition("/")
        if home == schema:
            _unseal(backup, file, target / name)
    return target


def _unseal(backup: Backup, file: BackupFile, target: Path) -> None:
    bound_to = f"{backup.manifest.id} {file.path}"
    try:
        with target.open("wb") as stream:
            stream.writelines(opened_chunks(backup.folder / (file.path + SEALED), backup.key, bound_to))
    except SealedFileBroken as error:
        raise BackupRefused(reason=f"{file.path} was changed") from error
