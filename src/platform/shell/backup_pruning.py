"""Taking out of backups what they may hold no more: erased tenants, and whose policy gives them less time.

The shared schema stays as long as the backup. A backup is pruned manifest first: where that is interrupted,
it is refused as touched until it is pruned again.
"""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from core.audit import AuditEntry
from core.backup import BackedUpTenant, BackupRefused, Stay, overdue, pruned
from shell.audit import append_platform_entry
from shell.backup import MANIFEST, NAME, SEALED, Backup, backup_key, open_manifest, write_manifest
from shell.commands.connect import AT_THE_MACHINE, Connected
from shell.embedded.folder import lock_data_folder
from shell.queries import SQL
from shell.session import platform_session


class Pruning(msgspec.Struct, frozen=True):
    """The tenants that are taken out of a backup; the last of one tenant's own backup takes it along."""

    backup: Backup
    tenants: list[BackedUpTenant]
    erased: frozenset[UUID]

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
        stays = await _stays(platform)
        erased = frozenset(stay.id for stay in stays if stay.is_erased)
        done = Pruned([], [])
        for folder in _finished(output):
            try:
                backup = await asyncio.to_thread(open_manifest, folder, key)
            except BackupRefused:
                done.unopened.append(folder)
                continue
            found = Pruning(backup, overdue(backup.manifest, stays, now), erased)
            if not dry_run:
                await _take_out(platform, found)
            done.prunings.extend([found] if found.tenants else [])
        return done


async def _stays(platform: Connected) -> list[Stay]:
    async with platform_session(platform.pool, readonly=True) as session:
        rows = await session.connection.fetch(SQL["stays_in_backups"])
    return [msgspec.convert(dict(row), Stay) for row in rows]


def _finished(output: Path) -> Iterator[Path]:
    for folder in sorted(output.iterdir()):
        if NAME.fullmatch(folder.name) and (folder / (MANIFEST + SEALED)).exists():
            yield folder


async def _take_out(platform: Connected, found: Pruning) -> None:
    backup = found.backup
    if found.is_whole:
        await asyncio.to_thread(_remove, backup.folder)
    else:
        await asyncio.to_thread(_prune, found)
    if found.tenants:
        details = {"tenants": ",".join(str(tenant.id) for tenant in found.tenants)}
        entry = AuditEntry("backup.pruned", f"backup:{backup.manifest.id}", AT_THE_MACHINE, details=details)
        async with platform_session(platform.pool) as session:
            await append_platform_entry(session, entry)


def _remove(folder: Path) -> None:
    """Without its manifest it is no backup, and goes with the next one at the latest."""
    (folder / (MANIFEST + SEALED)).unlink()
    shutil.rmtree(folder)


def _prune(found: Pruning) -> None:
    """Also remove folders that an earlier pruning took out of the manifest before it was cut off."""
    backup, manifest = found.backup, found.backup.manifest
    if found.tenants:
        manifest = pruned(manifest, found.tenants, found.erased)
        write_manifest(backup.folder, backup.key, manifest)
    for tenant in manifest.pruned:
        shutil.rmtree(backup.folder / tenant.schema, ignore_errors=True)
