"""Backups: what one holds, and which may be restored here."""

from datetime import datetime
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

    def tenant(self, slug: str) -> BackedUpTenant:
        """The tenant with this slug; raises BackupRefused where the backup has none such."""
        found = next((tenant for tenant in self.tenants if tenant.slug == slug), None)
        if found is None:
            raise BackupRefused(reason=f"it does not hold the tenant {slug}")
        return found


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
