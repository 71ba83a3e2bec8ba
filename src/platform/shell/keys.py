"""Signing keys: RSA keys in PEM, named by their RFC 7638 thumbprint."""

import os
import secrets
import time
import warnings
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, RSAKey

from core.errors import SettingInvalid
from core.key_rotation import still_verifying
from shell.sealing import SecretKeys
from shell.settings import Secret, Settings

BITS = 3072
"""Of the keys that are made here: 128 bits of security (NIST SP 800-57, part 1, table 2)."""

FEWEST_BITS = 2048
"""Of the keys that settings give (RFC 7518, 3.3)."""

LEEWAY_SECONDS = 30
"""By how much the clocks of those who issue and verify tokens may differ."""

LOOK_AGAIN_SECONDS = 5.0
MADE_FORMAT = "%Y%m%dT%H%M%S.%fZ"
SECRET_KEY_NAME = "secret-key"  # noqa: S105 -- the name of a file
PREVIOUS_SECRET_KEY_NAME = "secret-key.previous"  # noqa: S105 -- as above


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

    @property
    def kids(self) -> frozenset[str | None]:
        """The names of the keys that verify."""
        return frozenset(key.kid for key in self.verifying.keys)

    def public(self) -> dict[str, object]:
        """The JWK set that anyone may verify tokens with (RFC 7517)."""
        return {"keys": [_public_part(key) for key in self.verifying.keys]}


class KeyRing:
    """The signing keys as they are now: rotated keys are taken up without a restart."""

    def __init__(self, settings: Settings) -> None:
        """Load the keys; raises SettingInvalid."""
        self._settings = settings
        self._loaded = load_keys(settings, datetime.now(UTC))
        self._asked_at = time.monotonic()

    @property
    def keys(self) -> SigningKeys:
        """The keys, read again every few seconds."""
        self.read_again(after_seconds=LOOK_AGAIN_SECONDS)
        return self._loaded

    def read_again(self, *, after_seconds: float) -> bool:
        """Read the keys unless they were read just now; whether others are there than before."""
        if time.monotonic() - self._asked_at < after_seconds:
            return False
        self._asked_at = time.monotonic()
        found = load_keys(self._settings, datetime.now(UTC))
        if (found.kid, found.kids) == (self._loaded.kid, self._loaded.kids):
            return False
        self._loaded = found
        return True


def secret_keys(settings: Settings) -> SecretKeys:
    """The keys that settings give, else those in the data folder; raises SettingInvalid without one."""
    if settings.secret_key is not None:
        return SecretKeys(settings.secret_key, settings.previous_secret_key)
    folder = settings.data / "secrets"
    try:
        current = Secret((folder / SECRET_KEY_NAME).read_text())
    except OSError as error:
        raise SettingInvalid(
            name="PLATFORM_SECRET_KEY", reason="is missing, here and in the data folder"
        ) from error
    previous = folder / PREVIOUS_SECRET_KEY_NAME
    return SecretKeys(current, Secret(previous.read_text()) if previous.exists() else None)


def rotate_secret_key(settings: Settings) -> None:
    """Make a new secret key in the data folder; the one that was there becomes the previous one.

    Processes take it up when they start. Raises SettingInvalid where settings give the key, or where a
    rotation is under way already: there is no third key.
    """
    if settings.secret_key is not None:
        raise SettingInvalid(name="PLATFORM_SECRET_KEY", reason="gives the key; rotate it where it is kept")
    folder, current = settings.data / "secrets", secret_keys(settings)
    if current.previous not in {None, current.current}:  # equal where a rotation was cut off
        raise SettingInvalid(
            name="PLATFORM_DATA", reason=f"holds secrets/{PREVIOUS_SECRET_KEY_NAME} of an earlier rotation"
        )
    write_private(folder / PREVIOUS_SECRET_KEY_NAME, current.current.value.encode())
    write_private(folder / SECRET_KEY_NAME, _random_secret())


def forget_previous_secret_key(settings: Settings) -> None:
    """End the rotation in the data folder: what depends on the previous key is worthless from now on."""
    (settings.data / "secrets" / PREVIOUS_SECRET_KEY_NAME).unlink(missing_ok=True)


def load_keys(settings: Settings, now: datetime) -> SigningKeys:
    """The keys given by settings, else those in the folder of keys, where the newest signs.

    Raises SettingInvalid where there is none or one is no RSA private key.
    """
    if settings.signing_key is not None:
        return _signing_keys([_parse("PLATFORM_SIGNING_KEY", settings.signing_key.value.encode())])
    if settings.signing_key_file is not None:
        return _signing_keys([_read("PLATFORM_SIGNING_KEY_FILE", settings.signing_key_file)])
    files = sorted(settings.keys_folder.glob("*.pem"))
    if not files:
        raise SettingInvalid(
            name="PLATFORM_SIGNING_KEY_FILE", reason="is missing, and the folder of keys is empty"
        )
    verify = still_verifying([_made(file) for file in files], now, _token_life(settings))
    kept = [file for file, verifies in zip(files, verify, strict=True) if verifies]
    return _signing_keys([_read("PLATFORM_KEYS", file) for file in kept])


def ensure_key(settings: Settings) -> None:
    """Make the first keys in the data folder, readable by its owner only, unless they are there or given."""
    if settings.secret_key is None:
        kept_secret(settings.data, SECRET_KEY_NAME)
    given = settings.signing_key is not None or settings.signing_key_file is not None
    if not given and not any(settings.keys_folder.glob("*.pem")):
        _make_key(settings.keys_folder, datetime.now(UTC))


def rotate_key(settings: Settings, now: datetime, *, keep_old: bool = True) -> str:
    """Make a key that signs from now on; gives its name.

    The ones before it verify until their last token has ended, or, with `keep_old` false, not at all from now
    on. Keys that verify no more are deleted. Raises SettingInvalid where settings give one key.
    """
    if settings.signing_key is not None or settings.signing_key_file is not None:
        raise SettingInvalid(
            name="PLATFORM_SIGNING_KEY", reason="gives the one key; rotate it where it is kept"
        )
    newest = _make_key(settings.keys_folder, now)
    files = sorted(settings.keys_folder.glob("*.pem"))
    verify = still_verifying([_made(file) for file in files], now, _token_life(settings))
    for file, verifies in zip(files, verify, strict=True):
        if file != newest and not (verifies and keep_old):
            file.unlink()
    return load_keys(settings, now).kid


def _make_key(folder: Path, now: datetime) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{now:{MADE_FORMAT}}.pem"
    write_private(file, RSAKey.generate_key(BITS, auto_kid=True).as_pem(private=True))
    return file


def _made(file: Path) -> datetime | None:
    """When a key was made, as its file's name says; None for a name of another form."""
    try:
        return datetime.strptime(file.stem, MADE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _token_life(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.access_token_seconds + LEEWAY_SECONDS)


def kept_secret(data: Path, name: str) -> Secret:
    """A random secret that is made once and kept in the data folder, readable by its owner only.

    An operator may have put another one there, with or without the end of its line.
    """
    file = data / "secrets" / name
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(file, _random_secret())
    return Secret(file.read_text().rstrip("\r\n"))


def _random_secret() -> bytes:
    return secrets.token_urlsafe(24).encode()


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


@lru_cache(maxsize=16)  # checking that two numbers are prime takes 45 ms, in which no request is answered
def _parse(name: str, pem: bytes) -> RSAKey:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of a short key, which is refused below
            key = RSAKey.import_key(pem)
    except (ValueError, JoseError) as error:
        raise SettingInvalid(name=name, reason="holds no RSA key in PEM") from error
    if not key.is_private:
        raise SettingInvalid(name=name, reason="holds a public key; the private one is needed to sign")
    if key.raw_value.key_size < FEWEST_BITS:
        raise SettingInvalid(name=name, reason=f"holds an RSA key of fewer than {FEWEST_BITS} bits")
    return key


def _public_part(key: object) -> dict[str, object]:
    if not isinstance(key, RSAKey):
        raise TypeError("only RSA keys are loaded")
    return {**key.as_dict(private=False), "use": "sig", "alg": "RS256", "kid": key.kid}
