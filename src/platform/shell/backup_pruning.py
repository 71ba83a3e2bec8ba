"""Taking out of backups what they may hold no more: erased tenants, and whose policy gives them less time.

The shared schema stays as long as the backup. A backup is pruned manifest first: where that is interrupted,
it is refused as touched until it is pruned again.
"""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from core.audit import AuditEntry
from core.backup import BackupRefused, PrunedTenant, Stay, overdue, pruned
from shell.audit import append_platform_entry
from shell.backup import (
    PLAIN_MANIFEST,
    SEALED_MANIFEST,
    UNFINISHED_MANIFEST,
    Backup,
    backup_key,
    folders_in,
    is_finished,
    open_manifest,
    write_manifest,
)
from shell.commands.connect import AT_THE_MACHINE, Connected
from shell.embedded.folder import lock_data_folder
from shell.queries import SQL
from shell.session import platform_session


class Pruning(msgspec.Struct, frozen=True):
    """The tenants that are taken out of a backup; the last of one tenant's own backup takes it along."""

    backup: Backup
    tenants: list[PrunedTenant]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left of the backup."""
        manifest = self.backup.manifest
        return manifest.public_version is None and len(self.tenants) == len(manifest.tenants)


class Pruned(msgspec.Struct, frozen=True):
    """What was, or would be, taken out, and the folders of backups that could not be opened."""

    prunings: list[Pruning]
    unopened: list[Path]


async def prune_backups(platform: Connected, output: Path, now: datetime, *, dry_run: bool = False) -> Pruned:
    """Take out of the backups in a folder who is in them for too long.

    A backup that the key does not open, such as one of an earlier key, stays as it is. Raises
    DataFolderInUse while another is made there. May be interrupted and run again.
    """
    key = backup_key(platform.settings)
    with lock_data_folder(output):
        stays, done = await _stays(platform), Pruned([], [])
        for folder in filter(is_finished, folders_in(output)):
            try:
                backup = await asyncio.to_thread(open_manifest, folder, key)
            except BackupRefused:
                done.unopened.append(folder)
                continue
            found = Pruning(backup, overdue(backup.manifest, stays, now))
            if not dry_run:
                await _take_out(platform, found)
            done.prunings.extend([found] if found.tenants else [])
        return done


async def _stays(platform: Connected) -> dict[UUID, Stay]:
    async with platform_session(platform.pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["stays_in_backups"])
    return {row["id"]: msgspec.convert(dict(row), Stay) for row in rows}


async def _take_out(platform: Connected, found: Pruning) -> None:
    """Audited first: what is cut off after that is done, and audited, again."""
    async with platform_session(platform.pool) as session:
        for tenant in found.tenants:
            details = {"backup": found.backup.manifest.id}
            entry = AuditEntry("backup.pruned", f"tenant:{tenant.id}", AT_THE_MACHINE, details=details)
            await append_platform_entry(session, entry)
    await asyncio.to_thread(_remove if found.is_whole else _prune, found)


def _remove(found: Pruning) -> None:
    """Without its manifest it is no backup, and goes with the next one at the latest."""
    folder = found.backup.folder
    (folder / SEALED_MANIFEST).unlink()
    shutil.rmtree(folder)


def _prune(found: Pruning) -> None:
    """Also remove what an earlier pruning has left that was cut off."""
    folder, manifest = found.backup.folder, found.backup.manifest
    for name in (PLAIN_MANIFEST, UNFINISHED_MANIFEST):
        (folder / name).unlink(missing_ok=True)
    if found.tenants:
        manifest = pruned(manifest, found.tenants)
        write_manifest(folder, found.backup.key, manifest)
    for tenant in manifest.pruned:
        if (folder / tenant.schema).exists():
            shutil.rmtree(folder / tenant.schema)
