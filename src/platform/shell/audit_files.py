"""Files of the audit log on this machine: exports that are checked, and checkpoints that were kept."""

from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

import msgspec

from core.checkpoint import CheckpointMalformed, SignedCheckpoint, parse_note
from core.errors import PlatformError
from core.verification import Line, Report, verify
from shell.audit_key import is_signed_by

CHUNK = 1 << 20
LONGEST_LINE = 1 << 20


class NoCheckpointOfLog(PlatformError):
    """{file} has no checkpoint of {origin}."""

    fields = ("file", "origin")


def verify_file(
    file: Path, *, public_keys: Sequence[bytes], kept_in: Sequence[Path], progress: Callable[[int], None]
) -> Report:
    """Check an exported log, also against checkpoints in other files; tells progress in bytes.

    A log has several keys where its key was replaced; each checkpoint needs a signature of one of them.

    Raises OSError, CheckpointMalformed, NoCheckpointOfLog.
    """
    older = [note for kept in kept_in for note in _kept_of_log(kept, _origin_of(file))]
    with file.open("rb") as stream:
        return verify(
            _chunks(stream, progress),
            is_signed=lambda note: any(is_signed_by(note, key) for key in public_keys),
            older=older,
        )


def read_checkpoints(file: Path) -> list[SignedCheckpoint]:
    """The checkpoints in a witness's file or in an exported log, or the one that a file is.

    Raises OSError, CheckpointMalformed.
    """
    with file.open("rb") as stream:
        if stream.peek(1)[:1] != b"{":
            return [parse_note(stream.read(LONGEST_LINE).decode("utf-8", "replace"))]
        return [parse_note(line.checkpoint) for line in _lines(stream) if line.checkpoint is not None]


def _kept_of_log(file: Path, origin: str) -> list[SignedCheckpoint]:
    found = [note for note in read_checkpoints(file) if note.checkpoint.origin == origin]
    if not found:
        raise NoCheckpointOfLog(file=file, origin=origin)
    return found


def _origin_of(file: Path) -> str:
    """Which log a file says it is of; what is wrong with its first line is the verifier's to say."""
    with file.open("rb") as stream:
        try:
            return msgspec.json.decode(stream.readline(LONGEST_LINE), type=Line).origin or ""
        except msgspec.DecodeError:
            return ""


def _chunks(stream: BufferedReader, progress: Callable[[int], None]) -> Iterator[bytes]:
    """The file in chunks of whole lines."""
    while chunk := stream.read(CHUNK):
        yield chunk if chunk.endswith(b"\n") else chunk + stream.readline(LONGEST_LINE)
        progress(stream.tell())


def _lines(stream: BufferedReader) -> Iterator[Line]:
    for line in stream:
        try:
            yield msgspec.json.decode(line, type=Line)
        except msgspec.DecodeError as error:
            raise CheckpointMalformed(reason=f"a line cannot be read: {error}") from error
