"""Downloads by link: the link itself is the permission, for one file of one tenant, until an instant."""

from datetime import datetime
from uuid import UUID

import msgspec

LATEST = 253_402_300_799
"""The last second of the year 9999, since 1970."""


class Grant(msgspec.Struct, frozen=True):
    """What a link permits."""

    tenant_id: UUID
    export_id: UUID
    expires_at: datetime

    def signed_text(self) -> str:
        """What is signed: every part of the grant, in whole seconds."""
        return f"{self.tenant_id} {self.export_id} {self.expires}"

    @property
    def expires(self) -> int:
        """The last second in which the link is good, since 1970; never later than the instant."""
        return int(self.expires_at.timestamp())
