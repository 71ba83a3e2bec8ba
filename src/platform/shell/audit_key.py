"""The Ed25519 key that signs checkpoints: given by settings, else made once in the data folder."""

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from core.checkpoint import Checkpoint, SignedCheckpoint, note_of, origin_of
from core.errors import SettingInvalid
from shell.keys import write_private
from shell.settings import Settings

FILE_NAME = "audit-key.pem"


class AuditSigner(msgspec.Struct, frozen=True):
    """Signs checkpoints; its repr shows no key."""

    key: Ed25519PrivateKey
    origin_prefix: str

    def __repr__(self) -> str:
        """Only whose checkpoints are signed."""
        return f"AuditSigner({self.origin_prefix})"

    @property
    def public_key(self) -> bytes:
        """What verifies the signatures."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, chain: str, *, size: int, root: bytes) -> str:
        """The signed note that a chain's tree has this root at this size."""
        checkpoint = Checkpoint(origin_of(self.origin_prefix, chain), size, root)
        signature = self.key.sign(checkpoint.text.encode())
        return note_of(checkpoint, public_key=self.public_key, signature=signature)


def is_signed_by(note: SignedCheckpoint, public_key: bytes) -> bool:
    """Whether a note has a valid signature of this key."""
    signature = note.by(public_key)
    if signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, note.text.encode())
    except InvalidSignature:
        return False
    return True


def ensure_audit_key(settings: Settings) -> None:
    """Make the key in the data folder, readable by its owner only, unless it is there or given."""
    file = settings.data / "secrets" / FILE_NAME
    if settings.audit_key is None and settings.audit_key_file is None and not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate()
        write_private(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def audit_signer(settings: Settings) -> AuditSigner:
    """The key that settings give, else the one in the data folder; raises SettingInvalid without one."""
    if settings.audit_key is not None:
        return _signer("PLATFORM_AUDIT_KEY", settings.audit_key.value.encode(), settings)
    file = settings.audit_key_file or settings.data / "secrets" / FILE_NAME
    try:
        return _signer("PLATFORM_AUDIT_KEY_FILE", file.read_bytes(), settings)
    except OSError as error:
        reason = "names a key file that cannot be read, or none is set and the data folder has no key"
        raise SettingInvalid(name="PLATFORM_AUDIT_KEY_FILE", reason=reason) from error


def _signer(name: str, pem: bytes, settings: Settings) -> AuditSigner:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingInvalid(name=name, reason="holds no private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingInvalid(name=name, reason="holds a key that is not Ed25519")
    return AuditSigner(key, settings.audit_origin)
