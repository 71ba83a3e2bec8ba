"""Sealing: AES-256-GCM under keys that are derived from the secret key, one for each purpose."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shell.settings import Secret

KEY_BYTES = 32
NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was changed, moved, or sealed under another key."""


class Seal:
    """Encrypts values for one purpose, each bound to the thing that it belongs to."""

    def __init__(self, secret_key: Secret, purpose: str) -> None:
        """Derive the purpose's own key."""
        self._cipher = AESGCM(derived_key(secret_key, purpose))

    def seal(self, content: bytes, *, belongs_to: bytes) -> bytes:
        """A fresh nonce, and the content encrypted with it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, belongs_to)

    def open(self, sealed: bytes, *, belongs_to: bytes) -> bytes:
        """What was sealed for the same thing; raises SealBroken."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belongs_to)
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error


def derived_key(secret_key: Secret, purpose: str) -> bytes:
    """A key for one purpose (HKDF, RFC 5869); from it nobody learns the secret key or another purpose's."""
    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"eu-platform {purpose}".encode())
    return hkdf.derive(secret_key.value.encode())


def keyed_digest(secret_key: Secret, purpose: str, text: str) -> str:
    """A name for a text, from which nobody without the key can tell, or find by trying, what the text was."""
    return hmac.new(derived_key(secret_key, purpose), text.encode(), hashlib.sha256).hexdigest()
