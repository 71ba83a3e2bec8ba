"""Links to downloads: an HMAC under a key of their own."""

import hmac
from datetime import UTC, datetime
from uuid import UUID

from core.download import Grant
from core.errors import DownloadRefused
from shell.sealing import SecretKeys

PURPOSE = "download links"
PATH = "/api/v1/downloads"


class Downloads:
    """Makes links, and tells whether a link is one of them."""

    def __init__(self, keys: SecretKeys) -> None:
        """Sign with a key that is derived from the secret key; links by the previous one stay good."""
        self._keys = keys.derived(PURPOSE)

    def link(self, grant: Grant) -> str:
        """The path that the file can be fetched from without a token."""
        return (
            f"{PATH}/{grant.export_id}?expires={grant.expires}&signature={_signature(self._keys[0], grant)}"
        )

    def require_good(
        self, *, tenant_id: UUID, export_id: UUID, expires: int, signature: str, now: datetime
    ) -> None:
        """Raise DownloadRefused for a link that was not made here, or is no longer good."""
        grant = Grant(tenant_id, export_id, datetime.fromtimestamp(expires, UTC))
        ours = [_signature(key, grant).encode() for key in self._keys]
        is_ours = any(hmac.compare_digest(each, signature.encode()) for each in ours)
        if not is_ours or now.timestamp() > expires:
            raise DownloadRefused


def _signature(key: bytes, grant: Grant) -> str:
    return hmac.new(key, grant.signed_text().encode(), "sha256").hexdigest()
