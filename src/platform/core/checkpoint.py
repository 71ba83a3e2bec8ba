"""Checkpoints: a Merkle tree's head as a signed note (c2sp.org/tlog-checkpoint, c2sp.org/signed-note)."""

import hashlib
import re
from base64 import b64decode, b64encode
from typing import Final

import msgspec

from core.errors import PlatformError
from core.merkle import HASH_BYTES

ED25519: Final = b"\x01"
KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
MOST_SIGNATURES: Final = 16
LONGEST_NOTE: Final = 16 * 1024

KEY_NAME = re.compile(r"[^\s+]+")
SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
VERIFIER_KEY = re.compile(r"[^\s+]+\+[0-9a-f]{8}\+(.+)")
SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class CheckpointMalformed(PlatformError):
    """The checkpoint cannot be read: {reason}."""

    fields = ("reason",)


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of one log's tree: which log, how many leaves, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class Signature(msgspec.Struct, frozen=True):
    """One signature of a note, and which key made it."""

    name: str
    key_id: bytes
    signature: bytes


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint with its signatures, none of which has been verified."""

    checkpoint: Checkpoint
    text: str
    signatures: tuple[Signature, ...]

    def by(self, public_key: bytes) -> bytes | None:
        """The signature that claims to be of this key, under the origin as its name."""
        name = self.checkpoint.origin
        wanted = (name, key_id(name, public_key))
        return next((each.signature for each in self.signatures if (each.name, each.key_id) == wanted), None)


def origin_of(prefix: str, chain: str) -> str:
    """The name of a chain's log in its checkpoints, and of the key that signs them."""
    return f"{prefix}/{chain}"


def key_id(name: str, public_key: bytes) -> bytes:
    """Four bytes by which a signature tells its Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:KEY_ID_BYTES]


def note_of(checkpoint: Checkpoint, *, public_key: bytes, signature: bytes) -> str:
    """The signed note, under the origin as the name of the key."""
    name = checkpoint.origin
    signed = b64encode(key_id(name, public_key) + signature).decode()
    return f"{checkpoint.text}\n— {name} {signed}\n"


def parse_note(note: str) -> SignedCheckpoint:
    """The checkpoint in a note, whose signatures are still to be verified; raises CheckpointMalformed."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(note) > LONGEST_NOTE or len(lines) < 3 or not all(lines):  # noqa: PLR2004
        raise CheckpointMalformed(reason="it is no signed note of three lines")
    origin, size, root = lines[:3]
    if not SIZE.fullmatch(size):
        raise CheckpointMalformed(reason="its second line is no tree size")
    head = Checkpoint(origin, int(size), _decoded(root, HASH_BYTES))
    return SignedCheckpoint(head, f"{text}\n", _signatures(signatures))


def public_key_text(public_key: bytes) -> str:
    """A public key as people pass it on: base64 of its type and its bytes, as in keys of signed notes."""
    return b64encode(ED25519 + public_key).decode()


def parse_public_key(text: str) -> bytes:
    """The key in such a text, or in a whole verifier key `name+id+key`; raises CheckpointMalformed."""
    whole = VERIFIER_KEY.fullmatch(text.strip())
    found = _decoded(text.strip() if whole is None else whole[1], 1 + KEY_BYTES)
    if found[:1] != ED25519:
        raise CheckpointMalformed(reason="the public key is not one of Ed25519")
    return found[1:]


def _signatures(text: str) -> tuple[Signature, ...]:
    lines = text.split("\n")
    if lines.pop() != "" or not 1 <= len(lines) <= MOST_SIGNATURES:
        raise CheckpointMalformed(reason="it has no signatures, or too many")
    return tuple(_signature(line) for line in lines)


def _signature(line: str) -> Signature:
    found = SIGNATURE_LINE.fullmatch(line)
    if found is None:
        raise CheckpointMalformed(reason="a line is no signature")
    signed = _decoded(found[2])
    return Signature(found[1], signed[:KEY_ID_BYTES], signed[KEY_ID_BYTES:])


def _decoded(text: str, size: int | None = None) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except ValueError as error:
        raise CheckpointMalformed(reason="it has a part that is not base64") from error
    if (size is not None and len(found) != size) or b64encode(found).decode() != text:
        raise CheckpointMalformed(reason="it has a part of the wrong length")
    return found
