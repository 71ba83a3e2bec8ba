"""Links to certificates of erasure, for those whose accounts are gone when the certificate is there.

An HMAC under a key of its own. A certificate names nobody, so a link is good for as long as its key is.
"""

from uuid import UUID

from core.errors import DownloadRefused
from shell.link_signatures import LinkSignatures
from shell.sealing import SecretKeys

PURPOSE = "links to certificates of erasure"
PATH = "/api/v1/erasures"


class CertificateLinks:
    """Makes links, and tells whether a link is one of them."""

    def __init__(self, keys: SecretKeys) -> None:
        """Sign with a key that is derived from the secret key; links by the previous one stay good."""
        self._signatures = LinkSignatures(keys, PURPOSE)

    def link(self, tenant_id: UUID) -> str:
        """The path that a tenant's certificate can be fetched from without a token, once it is there."""
        return f"{PATH}/{tenant_id}/certificate?signature={self._signatures.sign(str(tenant_id))}"

    def require_good(self, tenant_id: UUID, signature: str) -> None:
        """Raise DownloadRefused for a link that was not made here."""
        if not self._signatures.is_ours(str(tenant_id), signature):
            raise DownloadRefused
