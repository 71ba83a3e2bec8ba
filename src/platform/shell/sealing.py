"""Sealing: AES-256-GCM under keys that are derived from the secret key, one for each purpose.

While the secret key is rotated there are two: new things are sealed under the current one, and what was
sealed under the previous one is still opened.
"""

import hashlib
import hmac
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shell.settings import Secret

KEY_BYTES = 32
NONCE_BYTES = 12


class SecretKeys(msgspec.Struct, frozen=True):
    """The secret key, and the one before it as long as something may depend on that."""

    current: Secret
    previous: Secret | None = None

    def derived(self, purpose: str) -> list[bytes]:
        """The keys of one purpose, the current one first."""
        secrets = [self.current] if self.previous is None else [self.current, self.previous]
        return [derived_key(secret, purpose) for secret in secrets]


class SealBroken(Exception):
    """A sealed value was changed, moved, or sealed under another key."""


class Seal:
    """Encrypts values for one purpose, each bound to the thing that it belongs to."""

    def __init__(self, keys: SecretKeys, purpose: str) -> None:
        """Derive the purpose's own keys."""
        self._ciphers = [AESGCM(key) for key in keys.derived(purpose)]

    def seal(self, content: bytes, *, belongs_to: bytes) -> bytes:
        """A fresh nonce, and the content encrypted with it under the current key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, content, belongs_to)

    def open(self, sealed: bytes, *, belongs_to: bytes) -> bytes:
        """What was sealed for the same thing, under either key; raises SealBroken."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belongs_to)
            except (InvalidTag, ValueError):
                continue
        raise SealBroken


def derived_key(secret_key: Secret, purpose: str) -> bytes:
    """A key for one purpose (HKDF, RFC 5869); from it nobody learns the secret key or another purpose's."""
    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"eu-platform {purpose}".encode())
    return hkdf.derive(secret_key.value.encode())


def keyed_digest(secret_key: Secret, purpose: str, text: str) -> str:
    """A name for a text, from which nobody without the key can tell, or find by trying, what the text was."""
    return hmac.new(derived_key(secret_key, purpose), text.encode(), hashlib.sha256).hexdigest()
