"""Reading a package: its files one after the other, and whether it is what it says that it is.

A package comes from anywhere. Nothing of it is unpacked onto the disk, so no path in it can lead anywhere;
what it may unpack to is limited, and so is what is held in memory.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

import msgspec
from isal import igzip, isal_zlib

from core.package import PackageRefused, Payload, require_intact

PIECE_BYTES = 1024 * 1024
MOST_FILES = 10_000
MOST_TAG_BYTES = 16 * 1024 * 1024
"""Of a file beside the payload, which is read into memory."""

PATH = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,79})/((?:data/|schema/)?[A-Za-z0-9_][A-Za-z0-9._-]*)")
PLAIN = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})

Read = Callable[[int], None]
"""Takes how many bytes of the package have been read."""


DAMAGED = cast("type[Exception]", isal_zlib.error)


class Bag(msgspec.Struct, frozen=True):
    """A package that is whole and unchanged: its description, its small files, and its payload."""

    info: dict[str, str]
    tags: dict[str, bytes]
    payload: dict[str, Payload]


class Member:
    """A file of the package; its pieces can be taken once, before the next file is asked for."""

    def __init__(self, path: str, size: int, content: "_Limited") -> None:
        """A file that begins where the content stands."""
        self.path = path
        self.size = size
        self._content = content
        self._left = size

    def pieces(self) -> Iterator[bytes]:
        """What is left of the file; raises PackageRefused where the package ends before."""
        while self._left:
            piece = self._content.exactly(min(self._left, PIECE_BYTES))
            self._left -= len(piece)
            yield piece

    def skip(self) -> None:
        """Go to the end of the file, and of its last block."""
        for _ in self.pieces():
            pass
        self._content.exactly(-self.size % tarfile.BLOCKSIZE)


def members(file: BinaryIO, *, most_bytes: int, read: Read) -> Iterator[Member]:
    """The files of a package, from its start; raises PackageRefused for what no package has."""
    file.seek(0)
    opened = igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]  # its stubs have none
    with cast("IO[bytes]", opened) as unpacked:
        content, seen, folder = _Limited(unpacked, most_bytes), set[str](), None
        while (entry := _entry(content)) is not None:
            top, path = _path_of(entry)
            folder = folder or top
            if top != folder or path in seen or len(seen) == MOST_FILES:
                raise PackageRefused(reason="its files are not in one folder, each once")
            seen.add(path)
            member = Member(path, entry.size, content)
            yield member
            member.skip()
            read(file.tell())


def verified(file: BinaryIO, *, most_bytes: int, read: Read) -> Bag:
    """Read a package through, and hold every file against the manifests; raises PackageRefused."""
    found: dict[str, Payload] = {}
    tags: dict[str, bytes] = {}
    for member in members(file, most_bytes=most_bytes, read=read):
        is_payload, digest, parts = member.path.startswith("data/"), hashlib.sha256(), list[bytes]()
        if not is_payload and member.size > MOST_TAG_BYTES:
            raise PackageRefused(reason=f"{member.path} is too large")
        for piece in member.pieces():
            digest.update(piece)
            if not is_payload:
                parts.append(piece)
        found[member.path] = Payload(member.path, member.size, digest.hexdigest())
        if not is_payload:
            tags[member.path] = b"".join(parts)
    info = require_intact(found, tags)
    return Bag(info, tags, {path: each for path, each in found.items() if path.startswith("data/")})


class _Limited:
    """Unpacked bytes, up to a limit."""

    def __init__(self, unpacked: IO[bytes], most_bytes: int) -> None:
        self._unpacked = unpacked
        self._left = most_bytes

    def exactly(self, size: int) -> bytes:
        """The next bytes; raises PackageRefused where there are fewer, or where the limit is reached."""
        self._left -= size
        if self._left < 0:
            raise PackageRefused(reason="it unpacks to more than is allowed")
        parts: list[bytes] = []
        try:
            while size and (part := self._unpacked.read(size)):
                parts.append(part)
                size -= len(part)
        except (OSError, EOFError, DAMAGED) as error:
            raise PackageRefused(reason="it is no gzip file, or a damaged one") from error
        if size:
            raise PackageRefused(reason="it ends in the middle")
        return b"".join(parts)


def _entry(content: _Limited) -> tarfile.TarInfo | None:
    """The next header of a file; folders are passed over. Two empty blocks, or one, end the archive."""
    while True:
        block = content.exactly(tarfile.BLOCKSIZE)
        if not any(block):
            return None
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise PackageRefused(reason="it is no tar file, or a damaged one") from error
        if entry.type in PLAIN and entry.size >= 0:
            return entry
        if entry.type != tarfile.DIRTYPE:  # links, devices, and headers that rename what follows
            raise PackageRefused(reason=f"{entry.name!r} is no plain file")


def _path_of(entry: tarfile.TarInfo) -> tuple[str, str]:
    match = PATH.fullmatch(entry.name)
    if match is None:
        raise PackageRefused(reason=f"{entry.name[:100]!r} is no file of a package")
    return match[1], match[2]
