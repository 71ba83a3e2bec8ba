"""Signing keys: RSA keys in PEM, named by their RFC 7638 thumbprint."""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from core.errors import SettingInvalid
from shell.settings import Settings

BITS = 2048


class SigningKeys(msgspec.Struct, frozen=True):
    """The key that signs, and all that verify; its repr shows no key."""

    signing: RSAKey
    verifying: KeySet

    def __repr__(self) -> str:
        """Only the name of the signing key."""
        return f"SigningKeys(kid={self.kid})"

    @property
    def kid(self) -> str:
        """The name of the key that signs."""
        return self.signing.thumbprint()

    def public(self) -> dict[str, object]:
        """The JWK set that anyone may verify tokens with (RFC 7517)."""
        return {"keys": [_public_part(key) for key in self.verifying.keys]}


def load_keys(settings: Settings) -> SigningKeys:
    """The keys given by settings, else those in the data folder, where the newest signs.

    Raises SettingInvalid where there is none or one is no RSA private key.
    """
    if settings.signing_key is not None:
        return _signing_keys([_parse("PLATFORM_SIGNING_KEY", settings.signing_key.value.encode())])
    if settings.signing_key_file is not None:
        return _signing_keys([_read("PLATFORM_SIGNING_KEY_FILE", settings.signing_key_file)])
    files = sorted(settings.keys_folder.glob("*.pem"))
    if not files:
        raise SettingInvalid(
            name="PLATFORM_SIGNING_KEY_FILE", reason="is missing, and the data folder has no key"
        )
    return _signing_keys([_read("PLATFORM_DATA", file) for file in files])


def ensure_key(settings: Settings) -> None:
    """Make the first key in the data folder, readable by its owner only, unless a key is there or given."""
    given = settings.signing_key is not None or settings.signing_key_file is not None
    if given or any(settings.keys_folder.glob("*.pem")):
        return
    settings.keys_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.pem"
    pem = RSAKey.generate_key(BITS, auto_kid=True).as_pem(private=True)
    write_private(settings.keys_folder / name, pem)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = file.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def _signing_keys(keys: list[RSAKey]) -> SigningKeys:
    for key in keys:
        key.ensure_kid()
    return SigningKeys(signing=keys[-1], verifying=KeySet(list(keys)))


def _read(name: str, file: Path) -> RSAKey:
    try:
        return _parse(name, file.read_bytes())
    except OSError as error:
        raise SettingInvalid(name=name, reason="names a key file that cannot be read") from error


def _parse(name: str, pem: bytes) -> RSAKey:
    try:
        key = RSAKey.import_key(pem)
    except (ValueError, JoseError) as error:
        raise SettingInvalid(name=name, reason="holds no RSA key in PEM") from error
    if not key.is_private:
        raise SettingInvalid(name=name, reason="holds a public key; the private one is needed to sign")
    return key


def _public_part(key: object) -> dict[str, object]:
    if not isinstance(key, RSAKey):
        raise TypeError("only RSA keys are loaded")
    return {**key.as_dict(private=False), "use": "sig", "alg": "RS256", "kid": key.kid}
