"""A verifier of exported logs, written from docs/audit.md alone: slow, and without a line of the platform.

It gives None where all is well, else the place of the first bad entry.
"""

import hashlib
import json
from base64 import b64decode
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.core.naive_merkle import mth


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def canonical(value: Any) -> bytes:
    """RFC 8785, for what section 1 admits."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def first_bad(file: bytes, public_key: str, older: list[str] | None = None) -> int | None:
    header, *lines = [json.loads(line) for line in file.splitlines()]
    assert header["format"] == "eu-platform-audit/1"
    assert header["origin"].endswith("/" + header["chain"])
    key = b64decode(public_key)[1:]
    roots: dict[int, list[bytes]] = {}
    for note in [*(line["checkpoint"] for line in lines if "checkpoint" in line), *(older or [])]:
        assert is_signed(note, header["origin"], key)
        _, size, root = note.split("\n")[:3]
        roots.setdefault(int(size), []).append(b64decode(root))
    entries = [line for line in lines if "entry" in line]
    previous, leaves, sound = bytes(32), [], 0
    for number, line in enumerate(entries):
        entry = line["entry"]
        if entry["sequence"] != number or entry["chain"] != header["chain"] or entry["version"] != 1:
            return number
        leaves.append(canonical(entry))
        previous = sha256(previous + sha256(b"\x00" + leaves[-1]))
        if previous.hex() != line["entry_hash"]:
            return number
        if "private" in line:
            committed = sha256(bytes.fromhex(line["salt"]) + canonical(line["private"]))
            if committed.hex() != entry["commitment"]:
                return number
        for root in roots.get(number + 1, []):
            if mth(tuple(leaves)) != root:
                return sound
        sound = number + 1 if number + 1 in roots else sound
    if max(roots, default=0) > len(entries):
        return len(entries)
    return None if roots and sound == len(entries) else sound


def is_signed(note: str, origin: str, key: bytes) -> bool:
    text, signatures = note.split("\n\n")
    text += "\n"
    if text.split("\n")[0] != origin:
        return False
    for line in signatures.splitlines():
        _, name, encoded = line.split(" ")
        key_id, signature = b64decode(encoded)[:4], b64decode(encoded)[4:]
        if name == origin and key_id == sha256(name.encode() + b"\n\x01" + key)[:4]:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature, text.encode())
            except InvalidSignature:
                return False
            return True
    return False
