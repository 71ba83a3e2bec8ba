"""Checking an exported log: chain, tree, checkpoints and private parts, by the file and a public key alone.

docs/audit.md specifies the file. The first thing that is wrong is named, with the entry where it shows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from core.audit import VERSION, CanonicalEntry
from core.checkpoint import CheckpointMalformed, SignedCheckpoint, parse_note
from core.merkle import root_of
from core.sequencing import FIRST_PREVIOUS

FORMAT: Final = "eu-platform-audit/1"


NOTHING: Final = msgspec.Raw()


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A line of the file: the header, an entry or a checkpoint."""

    entry: msgspec.Raw = NOTHING
    entry_hash: str | None = None
    private: msgspec.Raw = NOTHING
    salt: str | None = None
    checkpoint: str | None = None
    format: str | None = None
    chain: str | None = None
    origin: str | None = None


_decode = msgspec.json.Decoder(CanonicalEntry).decode
_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Line).decode
_decode_lines = msgspec.json.Decoder(Line).decode_lines


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, and the place of the first entry that it concerns; None where it concerns none."""

    sequence: int | None
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What a file came to; it is as it was signed where there is no finding."""

    chain: str
    entries: int
    erased: int
    checkpoints: int
    root: bytes
    finding: Finding | None


class _Wrong(Exception):
    """Ends the check."""

    def __init__(self, sequence: int | None, reason: str) -> None:
        super().__init__(reason)
        self.finding = Finding(sequence, reason)


def verify(
    chunks: Iterable[bytes],
    *,
    is_signed: Callable[[SignedCheckpoint], bool],
    older: Sequence[SignedCheckpoint] = (),
) -> Report:
    """Check a file that comes in chunks of whole lines, also against checkpoints that were kept elsewhere.

    `is_signed` tells whether a checkpoint has a valid signature of the key that is trusted.
    """
    check = _Check(is_signed, older)
    try:
        check.run(_lines(chunks, check))
    except _Wrong as wrong:
        return check.report(wrong.finding)
    except msgspec.DecodeError as error:  # of an entry's own members
        return check.report(check.unreadable(error).finding)
    return check.report(None)


class _Check:
    """The state of a check between two lines: what it has counted, and the hashes so far."""

    def __init__(
        self, is_signed: Callable[[SignedCheckpoint], bool], older: Sequence[SignedCheckpoint]
    ) -> None:
        self._is_signed = is_signed
        self._older = sorted(older, key=lambda note: note.checkpoint.size, reverse=True)
        self._chain = self._origin = ""
        self._previous = FIRST_PREVIOUS
        self._frontier: list[bytes] = []
        self._sound_up_to = 0
        self._checkpoints = 0
        self._erased = 0
        self._size = 0

    def run(self, lines: Iterator[Line]) -> None:
        """Check line after line; then nothing may be missing, and nothing be there that is not signed."""
        self._begin(next(lines, None))
        self._match_older()
        for line in lines:
            if line.entry is NOTHING:
                self._match(self._parsed(line.checkpoint))
            else:
                self._take(line)
                if self._older and self._older[-1].checkpoint.size == self._size:
                    self._match_older()
        if self._older:
            size = self._older[0].checkpoint.size
            raise self._wrong(f"is missing, and so are all after it: {size} entries were signed")
        if self._sound_up_to < self._size or not self._checkpoints:
            raise _Wrong(self._sound_up_to, "and all after it stand under no checkpoint")

    def report(self, finding: Finding | None) -> Report:
        """What has come out so far."""
        root = root_of(self._frontier)
        return Report(self._chain, self._size, self._erased, self._checkpoints, root, finding)

    def unreadable(self, error: Exception) -> _Wrong:
        """What to say of a line that is none."""
        return _Wrong(self._size if self._chain else None, f"cannot be read: {error}")

    def _begin(self, header: Line | None) -> None:
        if header is None or header.format != FORMAT or not header.chain or not header.origin:
            raise _Wrong(None, f"the file does not begin as {FORMAT} does")
        if not header.origin.endswith(f"/{header.chain}"):
            raise _Wrong(None, "the file's origin is not that of its chain")
        self._chain, self._origin = header.chain, header.origin
        for note in self._older:
            self._require_trusted(note)

    def _take(self, line: Line) -> None:
        """Check an entry; this runs for each of millions."""
        canonical, size = bytes(line.entry), self._size
        entry = _decode(canonical)
        leaf = sha256(b"\x00" + canonical).digest()
        self._previous = sha256(self._previous + leaf).digest()
        if (
            entry.sequence != size
            or entry.chain != self._chain
            or entry.version != VERSION
            or _encode(entry) != canonical
        ):
            raise self._wrong(self._misplaced(entry))
        if self._previous.hex() != line.entry_hash:
            raise self._wrong("does not follow from what is before it: its content or its hash was changed")
        if line.private is NOTHING and line.salt is None:
            self._erased += 1
        elif sha256(self._salt(line.salt) + bytes(line.private)).hexdigest() != entry.commitment:
            raise self._wrong("has details or an address that it was not committed to")
        frontier = self._frontier
        while size & 1:  # as in core.merkle.grown, which also keeps what a proof needs
            leaf = sha256(b"\x01" + frontier.pop() + leaf).digest()
            size >>= 1
        frontier.append(leaf)
        self._size += 1

    def _match_older(self) -> None:
        while self._older and self._older[-1].checkpoint.size == self._size:
            self._match(self._older.pop())

    def _match(self, note: SignedCheckpoint) -> None:
        """Hold a checkpoint against the tree of the entries so far."""
        self._require_trusted(note)
        head = note.checkpoint
        if head.size > self._size:
            raise self._wrong(f"is missing: {head.size} entries were signed")
        if head.size < self._size:
            raise _Wrong(head.size, "stands before a checkpoint that does not cover it")
        if head.root != root_of(self._frontier):
            last = self._size - 1
            others = "" if last == self._sound_up_to else f"or one of those up to {last} "
            raise _Wrong(self._sound_up_to, f"{others}is not what was signed")
        self._sound_up_to = self._size
        self._checkpoints += 1

    def _require_trusted(self, note: SignedCheckpoint) -> None:
        if note.checkpoint.origin != self._origin or not self._is_signed(note):
            size = note.checkpoint.size
            raise _Wrong(None, f"the checkpoint over {size} entries is not signed by this key for this log")

    def _parsed(self, checkpoint: str | None) -> SignedCheckpoint:
        try:
            return parse_note(checkpoint or "")
        except CheckpointMalformed as error:
            raise self.unreadable(error) from error

    def _misplaced(self, entry: CanonicalEntry) -> str:
        if entry.sequence != self._size:
            return f"is missing: entry {entry.sequence} stands in its place"
        if entry.chain != self._chain:
            return "belongs to another chain"
        return "is not in its canonical form"

    def _salt(self, text: str | None) -> bytes:
        try:
            return bytes.fromhex(text or "")
        except ValueError as error:
            raise self.unreadable(error) from error

    def _wrong(self, reason: str) -> _Wrong:
        return _Wrong(self._size, reason)


def _lines(chunks: Iterable[bytes], check: _Check) -> Iterator[Line]:
    for chunk in chunks:
        try:
            yield from _decode_lines(chunk)
        except msgspec.DecodeError:
            yield from _one_by_one(chunk, check)


def _one_by_one(chunk: bytes, check: _Check) -> Iterator[Line]:
    """The lines up to the one that cannot be read."""
    for line in chunk.split(b"\n"):
        try:
            yield _decode_line(line)
        except msgspec.DecodeError as error:
            raise check.unreadable(error) from error
