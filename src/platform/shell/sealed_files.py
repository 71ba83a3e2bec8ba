"""Sealed files: AES-256-GCM in chunks (STREAM, by Hoang, Reyhanitabar, Rogaway and Vizár, 2015).

A file begins with a mark and a salt; from the salt, the backup key and what the file is bound to, HKDF makes
a key of its own. Each chunk's nonce is its number and whether it is the last: no chunk can be changed, left
out, moved, or taken from another file.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shell.settings import Secret

MARK = b"eu-platform sealed file 1\n"
CHUNK = 2**20
TAG = 16
SALT = 32
NONCE = struct.Struct(">Q3x?")


class SealedFileBroken(Exception):
    """A sealed file was changed or cut off, or is bound to another key or place."""


def seal_file(source: Path, target: Path, key: Secret, bound_to: str) -> tuple[int, str]:
    """Write the file sealed, to the disk; gives the sealed bytes' number and SHA-256 (hex)."""
    with source.open("rb") as plain, target.open("wb") as sealed:
        return _seal(plain, sealed, key, bound_to)


def _seal(plain: BinaryIO, sealed: BinaryIO, key: Secret, bound_to: str) -> tuple[int, str]:
    salt, digest, size = os.urandom(SALT), hashlib.sha256(), 0
    cipher = _cipher(key, salt, bound_to)
    for part in (MARK + salt, *_sealed_chunks(plain, cipher)):
        sealed.write(part)
        digest.update(part)
        size += len(part)
    sealed.flush()
    os.fsync(sealed.fileno())
    return size, digest.hexdigest()


def _sealed_chunks(plain: BinaryIO, cipher: AESGCM) -> Iterator[bytes]:
    for number, (chunk, is_last) in enumerate(_chunks(plain, CHUNK)):
        yield cipher.encrypt(NONCE.pack(number, is_last), chunk, None)


def opened_chunks(source: Path, key: Secret, bound_to: str) -> Iterator[bytes]:
    """What was sealed, chunk by chunk; raises SealedFileBroken, at the latest before the end."""
    with source.open("rb") as sealed:
        if sealed.read(len(MARK)) != MARK:
            raise SealedFileBroken
        cipher = _cipher(key, sealed.read(SALT), bound_to)
        for number, (chunk, is_last) in enumerate(_chunks(sealed, CHUNK + TAG)):
            try:
                yield cipher.decrypt(NONCE.pack(number, is_last), chunk, None)
            except InvalidTag as error:
                raise SealedFileBroken from error


def _chunks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """The stream in chunks, each with whether it is the last; an empty stream has one, which is empty."""
    chunk = stream.read(size)
    while following := stream.read(size):
        yield chunk, False
        chunk = following
    yield chunk, True


def _cipher(key: Secret, salt: bytes, bound_to: str) -> AESGCM:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=salt, info=f"eu-platform backup {bound_to}".encode())
    return AESGCM(hkdf.derive(key.value.encode()))
