"""Links to downloads: an HMAC under a key of their own."""

import hmac
from datetime import UTC, datetime
from uuid import UUID

from core.download import Grant
from core.errors import DownloadRefused
from shell.sealing import keyed_digest
from shell.settings import Secret

PURPOSE = "download links"
PATH = "/api/v1/downloads"


class Downloads:
    """Makes links, and tells whether a link is one of them."""

    def __init__(self, secret_key: Secret) -> None:
        """Sign with a key that is derived from the secret key."""
        self._secret_key = secret_key

    def link(self, grant: Grant) -> str:
        """The path that the file can be fetched from without a token."""
        return f"{PATH}/{grant.export_id}?expires={grant.expires}&signature={self._signature(grant)}"

    def require_good(
        self, *, tenant_id: UUID, export_id: UUID, expires: int, signature: str, now: datetime
    ) -> None:
        """Raise DownloadRefused for a link that was not made here, or is no longer good."""
        grant = Grant(tenant_id, export_id, datetime.fromtimestamp(expires, UTC))
        is_ours = hmac.compare_digest(self._signature(grant).encode(), signature.encode())
        if not is_ours or now.timestamp() > expires:
            raise DownloadRefused

    def _signature(self, grant: Grant) -> str:
        return keyed_digest(self._secret_key, PURPOSE, grant.signed_text())
