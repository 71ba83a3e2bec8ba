"""Which backups may be restored here."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from core.backup import (
    FORMAT,
    BackedUpTenant,
    BackupRefused,
    Header,
    Manifest,
    require_known_format,
    require_restorable,
)

TENANT = BackedUpTenant(UUID(int=1), "acme", "tenant_acme", version=3)
MANIFEST = Manifest(FORMAT, "x", datetime(2026, 11, 25, tzinfo=UTC), "18", 5, (TENANT,), ())


def test_a_backup_of_this_or_an_earlier_version_is_restored() -> None:
    require_restorable(MANIFEST, public_version=5, tenant_version=3)
    require_restorable(MANIFEST, public_version=9, tenant_version=9)
    require_restorable(
        msgspec.structs.replace(MANIFEST, public_version=None), public_version=1, tenant_version=3
    )
    assert MANIFEST.tenant("acme") is TENANT


@pytest.mark.parametrize(("public_version", "tenant_version"), [(4, 3), (5, 2)])
def test_a_backup_of_a_later_version_is_refused(public_version: int, tenant_version: int) -> None:
    with pytest.raises(BackupRefused, match="later version"):
        require_restorable(MANIFEST, public_version=public_version, tenant_version=tenant_version)
    with pytest.raises(BackupRefused, match="later version"):
        require_known_format(Header(FORMAT + 1))
    with pytest.raises(BackupRefused, match="does not hold"):
        MANIFEST.tenant("nobody")
