"""Backups: what one holds, and which may be restored here."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from core.errors import PlatformError

FORMAT = 1
MADE_LATER = "it was made by a later version of the platform"


class BackupRefused(PlatformError):
    """The backup cannot be used: {reason}."""

    fields = ("reason",)


class BackedUpTenant(msgspec.Struct, frozen=True):
    """A tenant of a backup: its schema, and the last migration that had run there."""

    id: UUID
    slug: str
    schema: str
    version: int


class PrunedTenant(msgspec.Struct, frozen=True):
    """A tenant that a backup held, and holds no more: it was erased, or its policy gave it no more time."""

    id: UUID
    slug: str
    schema: str
    erased: bool


class BackupFile(msgspec.Struct, frozen=True):
    """A sealed file of a backup: its path in the backup's folder, bytes, and SHA-256 as it lies there."""

    path: str
    size: int
    sha256: str


class Header(msgspec.Struct, frozen=True):
    """What the manifests of all formats begin with."""

    format: int


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds; without the shared schema, there is no `public_version`, its last migration."""

    format: int
    id: str
    taken_at: datetime
    server: str
    public_version: int | None
    tenants: tuple[BackedUpTenant, ...]
    files: tuple[BackupFile, ...]
    pruned: tuple[PrunedTenant, ...] = ()

    def tenant(self, slug: str) -> BackedUpTenant:
        """The tenant with this slug; raises BackupRefused where the backup has none such."""
        found = next((tenant for tenant in self.tenants if tenant.slug == slug), None)
        if found is None:
            raise BackupRefused(reason=f"it does not hold the tenant {slug}")
        return found


class Stay(msgspec.Struct, frozen=True):
    """How long backups may hold a tenant: without `days`, for as long as there are any."""

    id: UUID
    days: int | None
    is_erased: bool
    is_held: bool


def overdue(manifest: Manifest, stays: Mapping[UUID, Stay], now: datetime) -> list[PrunedTenant]:
    """The tenants that a backup may hold no more by now; who is held, or not known here, stays."""
    age = now - manifest.taken_at
    return [
        PrunedTenant(tenant.id, tenant.slug, tenant.schema, stay.is_erased)
        for tenant in manifest.tenants
        if (stay := stays.get(tenant.id)) is not None and _is_over(stay, age)
    ]


def _is_over(stay: Stay, age: timedelta) -> bool:
    if stay.is_held:
        return False
    return stay.is_erased or (stay.days is not None and age > timedelta(days=stay.days))


def pruned(manifest: Manifest, tenants: Sequence[PrunedTenant]) -> Manifest:
    """The manifest without these tenants and their files."""
    gone = {tenant.schema for tenant in tenants}
    return msgspec.structs.replace(
        manifest,
        tenants=tuple(tenant for tenant in manifest.tenants if tenant.schema not in gone),
        files=tuple(file for file in manifest.files if file.path.partition("/")[0] not in gone),
        pruned=(*manifest.pruned, *tenants),
    )


def require_unpruned(manifest: Manifest) -> None:
    """Raise BackupRefused for a backup that is not whole any more, erased tenants aside."""
    missing = [tenant.slug for tenant in manifest.pruned if not tenant.erased]
    if missing:
        names = ", ".join(missing)
        raise BackupRefused(reason=f"it holds {names} no more, as their retention policies say")


def require_restorable(manifest: Manifest, *, public_version: int, tenant_version: int) -> None:
    """Raise BackupRefused for a backup of a later version of the platform: its tables are not known here."""
    newer = (manifest.public_version or 0) > public_version or any(
        tenant.version > tenant_version for tenant in manifest.tenants
    )
    if newer:
        raise BackupRefused(reason=MADE_LATER)


def require_known_format(header: Header) -> None:
    """Raise BackupRefused for a manifest that this version cannot read."""
    if header.format != FORMAT:
        raise BackupRefused(reason=MADE_LATER)


def require_same_files(expected: tuple[BackupFile, ...], found: dict[str, BackupFile]) -> None:
    """Raise BackupRefused where files are missing, are more, or are others than the manifest says."""
    listed = {file.path: file for file in expected}
    for path in sorted(listed.keys() ^ found.keys()):
        raise BackupRefused(reason=f"{path} is {'missing' if path in listed else 'not a part of it'}")
    for path, file in listed.items():
        if found[path] != file:
            raise BackupRefused(reason=f"{path} was changed")
