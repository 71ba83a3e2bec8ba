"""Writing a tar.gz in one go: members whose size is known only when they end, without a second file.

Gzip allows several members one after the other (RFC 1952, 2.2). A tar header becomes a member of its own,
stored and not compressed, so that its length never changes; when the content has been written, the header is
written again in its place, now with the size.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from isal import isal_zlib

from core.package import Payload

LEVEL = 2
"""Of ISA-L's four: at the size of zlib's level 4, ten times as fast as its default."""

GZIP = 31
STORED = 0
"""Window bits that ask for gzip's frame, and zlib's level that compresses nothing."""


class Content:
    """A member of the archive while it is being written."""

    def __init__(self, file: BinaryIO) -> None:
        """Write to this file, from where it stands."""
        self._file = file
        self._gzip = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        self._digest = hashlib.sha256()
        self.size = 0
        self.rows = 0

    def write(self, content: bytes, *, rows: int = 0) -> None:
        """Append bytes, and how many rows they are."""
        self._digest.update(content)
        self._file.write(self._gzip.compress(content))
        self.size += len(content)
        self.rows += rows

    def end(self) -> str:
        """Fill the last block; gives the SHA-256 of the content."""
        filler = b"\0" * (-self.size % tarfile.BLOCKSIZE)
        self._file.write(self._gzip.compress(filler) + self._gzip.flush())
        return self._digest.hexdigest()


class TarGz:
    """An archive whose files stand in one folder, written to a file that can seek."""

    def __init__(self, file: BinaryIO, folder: str, *, modified_at: int) -> None:
        """Begin at the file's start; all members were modified at one moment (seconds since 1970)."""
        self._file = file
        self._folder = folder
        self._modified_at = modified_at
        self.files: list[Payload] = []

    @contextmanager
    def member(self, path: str) -> Iterator[Content]:
        """A file of the archive; it is in `files` once the body has ended."""
        start = self._file.tell()
        self._file.write(self._header(path, 0))
        content = Content(self._file)
        yield content
        digest, end = content.end(), self._file.tell()
        self._file.seek(start)
        self._file.write(self._header(path, content.size))
        self._file.seek(end)
        self.files.append(Payload(path, content.size, digest, content.rows))

    def add(self, path: str, text: bytes) -> None:
        """A small file."""
        with self.member(path) as content:
            content.write(text)

    def end(self) -> None:
        """Two empty blocks end an archive."""
        self._file.write(_stored(b"\0" * 2 * tarfile.BLOCKSIZE))

    def _header(self, path: str, size: int) -> bytes:
        entry = tarfile.TarInfo(f"{self._folder}/{path}")
        entry.size, entry.mtime = size, self._modified_at
        block = entry.tobuf(tarfile.GNU_FORMAT)
        if len(block) != tarfile.BLOCKSIZE:
            raise ValueError(f"the name {entry.name} is too long for one header")
        return _stored(block)


def _stored(block: bytes) -> bytes:
    return zlib.compress(block, STORED, GZIP)
