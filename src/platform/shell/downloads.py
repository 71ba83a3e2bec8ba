"""Links to downloads: an HMAC under a key of their own."""

from datetime import UTC, datetime
from uuid import UUID

from core.download import Grant
from core.errors import DownloadRefused
from shell.link_signatures import LinkSignatures
from shell.sealing import SecretKeys

PURPOSE = "download links"
PATH = "/api/v1/downloads"


class Downloads:
    """Makes links, and tells whether a link is one of them."""

    def __init__(self, keys: SecretKeys) -> None:
        """Sign with a key that is derived from the secret key; links by the previous one stay good."""
        self._signatures = LinkSignatures(keys, PURPOSE)

    def link(self, grant: Grant) -> str:
        """The path that the file can be fetched from without a token."""
        signature = self._signatures.sign(grant.signed_text())
        return f"{PATH}/{grant.export_id}?expires={grant.expires}&signature={signature}"

    def require_good(
        self, *, tenant_id: UUID, export_id: UUID, expires: int, signature: str, now: datetime
    ) -> None:
        """Raise DownloadRefused for a link that was not made here, or is no longer good."""
        grant = Grant(tenant_id, export_id, datetime.fromtimestamp(expires, UTC))
        if not self._signatures.is_ours(grant.signed_text(), signature) or now.timestamp() > expires:
            raise DownloadRefused
