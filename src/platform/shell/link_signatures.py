"""Signatures of links that need no token: an HMAC under a key of the link's own purpose."""

import hmac

from shell.sealing import SecretKeys


class LinkSignatures:
    """Signs what a link permits, with a key derived from the secret key."""

    def __init__(self, keys: SecretKeys, purpose: str) -> None:
        """Sign with the current key; what the previous one has signed stays good."""
        self._keys = keys.derived(purpose)

    def sign(self, text: str) -> str:
        """The signature of a text, in hexadecimal digits."""
        return _signature(self._keys[0], text)

    def is_ours(self, text: str, signature: str) -> bool:
        """Whether a text was signed here; takes as long for any signature."""
        ours = [_signature(key, text).encode() for key in self._keys]
        return any(hmac.compare_digest(each, signature.encode()) for each in ours)


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()
